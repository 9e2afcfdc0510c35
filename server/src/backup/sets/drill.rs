//! The proof that a server can be restored from a set: what was restored is held against the set, inbox by inbox and row by
//! row.

use super::SetError;
use super::manifest::{InboxFile, Manifest};
use super::verify::unpack;
use crate::directory::Directory;
use crate::inbox::{Inboxes, Since};
use crate::log::record::Record;
use crate::log::{Consumer, Journal, Pos};
use hongyan_backup::GoOn;
use hongyan_wire::UserId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Records read at once.
const STEP: usize = 1_000;

/// What was found.
#[derive(Debug, Default)]
pub struct Proof {
    /// Inboxes that were opened and held against the set.
    pub inboxes: u64,
    /// Messages in them.
    pub messages: u64,
    /// Of these, unread.
    pub unread: u64,
    /// What is not as it was; nothing when the set is good.
    pub faults: Vec<String>,
}

/// What the restored log has after the set's beginning.
struct Later {
    /// Where the record of the taking back stands, by the message's place.
    recalled: BTreeMap<Pos, Pos>,
    /// Who marked what, and where the record of it stands.
    marked: HashMap<UserId, Vec<(Pos, Pos)>>,
    /// The first place at which nothing stands, before the end.
    missing: Option<Pos>,
}

/// Opens every inbox of a restored server that has taken in its log, and compares it with what the set has of it: every
/// message with each of its words, every state, nothing besides, and the counts. What the log has since then is allowed
/// for, and nothing else. `scratch` is for what is unpacked; `go_on`: whether to, asked now and then.
///
/// # Errors
/// What hinders the looking.
pub async fn prove(
    folder: &Path,
    manifest: &Manifest,
    inboxes: &Arc<Inboxes>,
    directory: &Directory,
    journal: &Journal,
    scratch: &Path,
    go_on: &GoOn,
) -> Result<Proof, SetError> {
    let mut proof = Proof::default();
    let head = journal.caught_up().await?;
    if head < manifest.head {
        proof.faults.push(format!("log.db: it ends at {head}, and ended at {}", manifest.head));
    }
    for consumer in Consumer::ALL {
        // What it was said to have had would never be taken in.
        if journal.log().acknowledged(consumer)? > manifest.start {
            proof
                .faults
                .push(format!("log.db: it says that the {} have more than they may", consumer.as_str()));
        }
    }
    let later = Later::of(journal, manifest)?;
    if let Some(pos) = later.missing {
        proof.faults.push(format!("log.db: the record at {pos} is missing"));
    }
    for inbox in &manifest.inboxes {
        let user = &inbox.user;
        if directory.person(user)?.is_none() {
            proof.faults.push(format!("{user}: there is no such user"));
            continue;
        }
        let plain = scratch.join("compared");
        unpack(folder, &inbox.file, &plain, go_on)?;
        let (_, about) = hongyan_backup::open_while(&plain, go_on)?;
        let (since, backup, now) = (later.since(inbox), plain.clone(), inboxes.clock.now());
        let compared = inboxes
            .access(user, move |inbox| {
                let faults = inbox.differs(&backup, &about, &since, now)?;
                Ok((faults, inbox.message_total(), inbox.unread_total()))
            })
            .await;
        fs::remove_file(&plain)?;
        match compared {
            Ok((faults, messages, unread)) => {
                proof.inboxes += 1;
                proof.messages += messages;
                proof.unread += unread;
                proof.faults.extend(faults.iter().map(|fault| format!("{user}: {fault}")));
            }
            Err(error) => proof.faults.push(format!("{user}: {error}")),
        }
    }
    Ok(proof)
}

impl Later {
    fn of(journal: &Journal, manifest: &Manifest) -> Result<Self, SetError> {
        let mut later = Self { recalled: BTreeMap::new(), marked: HashMap::new(), missing: None };
        let mut after = manifest.start;
        loop {
            let records = journal.log().read(after, STEP)?;
            let Some(last) = records.last() else { return Ok(later) };
            // What the restore says comes far behind the set's end.
            let places = records.iter().map(|logged| logged.pos).filter(|pos| *pos <= manifest.head);
            let first_gap = places.zip(after + 1..).find(|(found, wanted)| found != wanted);
            later.missing = later.missing.or(first_gap.map(|(_, wanted)| wanted));
            after = last.pos;
            for logged in &records {
                match &*logged.record {
                    Record::Recalled(recalled) => {
                        later.recalled.insert(recalled.target, logged.pos);
                    }
                    Record::Marked(marked) => {
                        let places = marked.places.iter().map(|place| (*place, logged.pos));
                        later.marked.entry(marked.user.clone()).or_default().extend(places);
                    }
                    _ => {}
                }
            }
        }
    }

    /// What came after a person's inbox was copied.
    fn since(&self, inbox: &InboxFile) -> Since {
        let recalled = self.recalled.iter().filter(|(_, at)| **at > inbox.pos).map(|(place, _)| *place);
        let marked = self.marked.get(&inbox.user).into_iter().flatten();
        let marked: BTreeSet<Pos> =
            marked.filter(|(_, at)| *at > inbox.pos).map(|(place, _)| *place).collect();
        Since { recalled: recalled.collect(), marked }
    }
}
