//! Threads that help to hand out what is meant for many: one message to thousands of sockets is as many system calls,
//! and every core can make its part of them.

use super::outlet::{Order, Outlet};
use bytes::Bytes;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Thread;

/// Sockets from which on it pays to wake another thread.
const MANY: usize = 256;
/// Threads besides the one that asks.
const HELPERS_MAX: usize = 7;

/// What is done with each socket.
#[derive(Debug, Clone)]
pub enum Work {
    /// One frame, at once.
    Post(Order, Bytes),
    /// Whatever was put in.
    Flush,
}

impl Work {
    fn with(&self, outlet: &Outlet) {
        match self {
            Self::Post(order, frame) => outlet.post(*order, frame),
            Self::Flush => outlet.flush(),
        }
    }
}

struct Job {
    outlets: Arc<Vec<Arc<Outlet>>>,
    part: Range<usize>,
    work: Work,
    _share: Share,
}

/// One helper's share of the whole; given back when it is dropped, however that comes.
struct Share {
    left: Arc<AtomicUsize>,
    asker: Thread,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.left.fetch_sub(1, Ordering::Release);
        self.asker.unpark();
    }
}

/// The helpers. There are none until something is meant for many.
#[derive(Default)]
pub struct Couriers(OnceLock<Vec<SyncSender<Job>>>);

impl Couriers {
    /// Does it with all of them; when this returns, it is done. Who is asked twice by one thread does the first before
    /// the second.
    pub fn each(&self, outlets: Vec<Arc<Outlet>>, work: &Work) {
        if outlets.len() < MANY {
            return outlets.iter().for_each(|outlet| work.with(outlet));
        }
        let helpers = self.0.get_or_init(helpers);
        let parts = helpers.len() + 1;
        let share = outlets.len().div_ceil(parts);
        let outlets = Arc::new(outlets);
        let left = Arc::new(AtomicUsize::new(0));
        for (n, helper) in helpers.iter().enumerate() {
            let end = outlets.len().min((n + 2) * share);
            let part = ((n + 1) * share).min(end)..end;
            left.fetch_add(1, Ordering::Relaxed);
            let share = Share { left: left.clone(), asker: std::thread::current() };
            let job = Job { outlets: outlets.clone(), part: part.clone(), work: work.clone(), _share: share };
            if helper.send(job).is_err() {
                // It has ended; its share is ours.
                outlets[part].iter().for_each(|outlet| work.with(outlet));
            }
        }
        outlets[..share].iter().for_each(|outlet| work.with(outlet));
        while left.load(Ordering::Acquire) > 0 {
            std::thread::park();
        }
    }
}

fn helpers() -> Vec<SyncSender<Job>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let start = |n: usize| {
        let (sender, jobs) = sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("courier {n}"));
        thread.spawn(move || help(&jobs)).ok().map(|_| sender)
    };
    (0..HELPERS_MAX.min(cores.saturating_sub(1))).filter_map(start).collect()
}

/// Works until nobody can ask any more.
fn help(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        job.outlets[job.part.clone()].iter().for_each(|outlet| job.work.with(outlet));
    }
}
