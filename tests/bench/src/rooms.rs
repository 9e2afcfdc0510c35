//! The server's log, directory and inboxes in this process, without the gateways.

use anyhow::{Context, Result, bail};
use hongyan_server::directory::Directory;
use hongyan_server::faults::Faults;
use hongyan_server::inbox::{Folders, Inboxes, Pending};
use hongyan_server::log::local::{Local, Tail};
use hongyan_server::log::record::Record;
use hongyan_server::log::{Appended, Entry, Journal, Log, Logged, Pos};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Records read at once.
const STEP: usize = 1_000;

pub struct Rooms {
    pub directory: Arc<Directory>,
    log: Arc<Local>,
    tail: Tail,
    pending: Arc<Pending>,
    applied: watch::Sender<Pos>,
    journal: Journal,
}

impl Rooms {
    /// Opens what lies in a folder, or makes it, as the server does when it starts.
    pub fn open(folder: &Path) -> Result<Self> {
        let (log, tail) = Local::open(&folder.join("log.db"))?;
        let log = Arc::new(log);
        let directory = Arc::new(Directory::open(&folder.join("directory.db"))?);
        let (applied, through) = watch::channel(0);
        let journal = Journal::new(log.clone(), through);
        let rooms = Self { directory, log, tail, pending: Arc::default(), applied, journal };
        let mut after = 0;
        loop {
            let batch = rooms.log.read(after, STEP)?;
            let Some(last) = batch.last() else { return Ok(rooms) };
            after = last.pos;
            rooms.follow(&batch)?;
        }
    }

    fn follow(&self, batch: &[Logged]) -> Result<()> {
        self.directory.apply(batch)?;
        self.pending.note(batch);
        if let Some(last) = batch.last() {
            self.applied.send_replace(last.pos);
        }
        Ok(())
    }

    /// Appends a record and lets everyone know.
    pub async fn append(&mut self, record: Record) -> Result<()> {
        let Appended::Written(pos) = self.log.append(Entry::from(record)).await? else {
            bail!("a record was taken for a repeat");
        };
        while *self.applied.borrow() < pos {
            let batch = self.tail.recv().await.context("the log is closed")?;
            self.follow(&batch)?;
        }
        Ok(())
    }

    /// Writes everything, so that a server can go on with it.
    pub fn close(self) {
        self.log.close();
    }

    /// Everyone's inboxes below a folder, of which so many stay open.
    pub fn inboxes(&self, folder: &Path, handles: usize) -> Result<Arc<Inboxes>> {
        let folders = Folders::open(folder, Faults::default())?;
        let (journal, directory) = (self.journal.clone(), self.directory.clone());
        Ok(Arc::new(Inboxes::new(folders, journal, directory, self.pending.clone(), handles)))
    }
}
