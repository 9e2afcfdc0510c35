//! A server's storage made again from a set, while no server runs.
//!
//! What always holds: until everything of the set is unpacked, found whole and on the disk, nothing that was there is
//! touched. From then until the end a mark stands in the system's folder, with which no server starts; whoever restores
//! again while it stands goes on from there, whatever was cut off. What was there is moved aside and never removed.

use super::SetError;
use super::folder::make_dir;
use super::manifest::{DIRECTORY, LOG, Manifest, REPORTS};
use super::verify::{Part, look_through};
use crate::backup::disk::{Reserve, remove_dir};
use crate::clock;
use crate::inbox::rebuild;
use crate::log::record::{Change, Noted, Record};
use crate::log::{LogError, copied};
use hongyan_backup::{GoOn, always};
use hongyan_wire::sets::LeftOut;
use hongyan_wire::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// As long as it is there, what is in the two folders is half of one and half of another.
const UNFINISHED: &str = ".restore-unfinished";
/// Where the set is unpacked, in either folder. No person's id begins with a dot.
const RESTORING: &str = ".restoring";
/// Marks of inboxes that were left behind: they are of the log that was.
const BEHIND: &str = ".behind";
/// Backups that were being put into inboxes: likewise.
const RESTORES: &str = ".restores";
/// Who it is in the audit log.
const ACTOR: &str = "command-line";

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    pub id: String,
    /// The moment that everything is of.
    pub made_at: Timestamp,
    pub people: u64,
    pub messages: u64,
    /// Whose inbox is not in the set: it is empty now.
    pub left_out: Vec<LeftOut>,
    /// Where what was there is now.
    pub aside: Vec<PathBuf>,
}

/// Whether a restore was cut off in this system's folder.
pub fn is_unfinished(system: &Path) -> bool {
    system.join(UNFINISHED).exists()
}

/// Removes what a restore has unpacked that was cut off before its mark stood. The caller holds the folders' lock. Blocks
/// on storage.
///
/// # Errors
/// What the disk says.
pub fn clear_unpacked(users: &Path, system: &Path) -> io::Result<()> {
    Roots { users, system }.clear()
}

/// How far the exchange has got; what stands in the mark.
#[derive(Clone, Serialize, Deserialize)]
struct Unfinished {
    /// Where what was there goes, in either folder.
    aside: String,
    /// Whether all of it is there: then what is in the two folders is of the set that was being restored.
    is_aside: bool,
}

/// Restores a set into these two folders, whose lock the caller holds. Blocks on storage.
///
/// # Errors
/// [`SetError::HasData`] where there is something and `replace` is not given, [`SetError::NotWhole`] with all that is
/// wrong with the set, and what the disk says. Before the mark stands nothing has changed.
pub fn restore(set: &Path, users: &Path, system: &Path, replace: bool) -> Result<Restored, SetError> {
    let before = read_mark(system)?;
    if before.is_none() && !replace {
        for (root, names) in [(system, databases(system)?), (users, inboxes(users)?)] {
            if !names.is_empty() {
                return Err(SetError::HasData(root.to_owned()));
            }
        }
    }
    let roots = Roots { users, system };
    roots.clear()?;
    let built = roots.build(set);
    if built.is_err() {
        roots.clear()?;
    }
    let manifest = built?;
    let aside =
        roots.exchange(before.unwrap_or_else(|| Unfinished { aside: roots.free_name(), is_aside: false }))?;
    let Manifest { id, made_at, people, messages, left_out, .. } = manifest;
    Ok(Restored { id, made_at, people, messages, left_out, aside })
}

/// Makes everything that a set has in two folders that are there and empty, as a log of its own. Not flushed. Blocks on
/// storage.
///
/// # Errors
/// [`SetError::NotWhole`] with all that is wrong with the set, and what the disk says.
pub fn build(set: &Path, users: &Path, system: &Path, go_on: &GoOn) -> Result<Manifest, SetError> {
    let manifest = Manifest::read(set)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| LogError::Unwritable(error.to_string()))?;
    let epoch = u64::from_le_bytes(random);
    let what = Noted { action: "backup.restore".into(), target: manifest.id.clone() };
    let change = Change { actor: ACTOR.into(), at: clock::now(), what };
    let restored = Record::Noted(Box::new(change));
    let problems = look_through(set, &manifest, system, go_on, &mut |part, plain| match part {
        Part::Database(name) => {
            let path = system.join(name);
            fs::rename(plain, &path)?;
            match name {
                LOG => copied::renew(&path, epoch, &restored, clock::now())?,
                REPORTS => crate::report::belong_to(&path, epoch)?,
                DIRECTORY => crate::directory::restored(&path, manifest.made_at, clock::now())?,
                _ => {}
            }
            Ok(())
        }
        Part::Inbox(inbox, about) => Ok(rebuild(plain, &about, &users.join(inbox.user.as_str()))?),
    })?;
    if !problems.is_empty() {
        return Err(SetError::NotWhole { id: manifest.id, problems });
    }
    Ok(manifest)
}

struct Roots<'a> {
    users: &'a Path,
    system: &'a Path,
}

impl Roots<'_> {
    fn both(&self) -> [&Path; 2] {
        [self.users, self.system]
    }

    /// Removes what was unpacked and not put into place.
    fn clear(&self) -> io::Result<()> {
        self.both().iter().try_for_each(|root| remove_dir(&root.join(RESTORING)))
    }

    /// Unpacks everything beside what is there. It is on the disk afterwards.
    fn build(&self, set: &Path) -> Result<Manifest, SetError> {
        let (users, system) = (self.users.join(RESTORING), self.system.join(RESTORING));
        make_dir(&users)?;
        make_dir(&system)?;
        // Better said now than when most of it is unpacked. No server runs whose log would need some.
        let [databases, inboxes] = Manifest::read(set)?.unpacked();
        Reserve(0).look(&system, databases)?;
        Reserve(0).look(&users, inboxes)?;
        let manifest = build(set, &users, &system, &always())?;
        for root in self.both() {
            rustix::fs::syncfs(File::open(root)?).map_err(io::Error::from)?;
        }
        Ok(manifest)
    }

    /// A name for what was there that is not taken.
    fn free_name(&self) -> String {
        let at: String = clock::now().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
        let at = at.split(['.', 'Z']).next().unwrap_or_default().to_owned();
        let mut name = format!(".replaced-{at}Z");
        for n in 2.. {
            if !self.both().iter().any(|root| root.join(&name).exists()) {
                break;
            }
            name = format!(".replaced-{at}Z-{n}");
        }
        name
    }

    /// Puts what was unpacked into the place of what is there. Gives where that is now.
    fn exchange(&self, mut mark: Unfinished) -> Result<Vec<PathBuf>, SetError> {
        if mark.is_aside {
            // Part of what was being put into place when it was cut off.
            for name in inboxes(self.users)? {
                fs::remove_dir_all(self.users.join(name))?;
            }
            for name in databases(self.system)? {
                fs::remove_file(self.system.join(name))?;
            }
        } else {
            self.mark(&mark)?;
            for (root, names) in [(self.users, inboxes(self.users)?), (self.system, databases(self.system)?)]
            {
                let aside = root.join(&mark.aside);
                if !names.is_empty() {
                    make_dir(&aside)?;
                }
                for name in names {
                    fs::rename(root.join(&name), aside.join(&name))?;
                }
                if aside.exists() {
                    File::open(&aside)?.sync_all()?;
                }
                File::open(root)?.sync_all()?;
            }
            mark.is_aside = true;
            self.mark(&mark)?;
        }
        for name in inboxes(&self.users.join(RESTORING))? {
            fs::rename(self.users.join(RESTORING).join(&name), self.users.join(&name))?;
        }
        File::open(self.users)?.sync_all()?;
        for name in [REPORTS, DIRECTORY, LOG] {
            fs::rename(self.system.join(RESTORING).join(name), self.system.join(name))?;
        }
        File::open(self.system)?.sync_all()?;
        self.clear()?;
        fs::remove_file(self.system.join(UNFINISHED))?;
        File::open(self.system)?.sync_all()?;
        let aside = self.both().map(|root| root.join(&mark.aside));
        Ok(aside.into_iter().filter(|aside| aside.exists()).collect())
    }

    /// The mark is on the disk afterwards, whole.
    fn mark(&self, mark: &Unfinished) -> Result<(), SetError> {
        let (path, half) = (self.system.join(UNFINISHED), self.system.join(".restore-unfinished.new"));
        let mut file = File::create(&half)?;
        file.write_all(&serde_json::to_vec(mark)?)?;
        file.sync_all()?;
        fs::rename(half, path)?;
        Ok(File::open(self.system)?.sync_all()?)
    }
}

fn read_mark(system: &Path) -> Result<Option<Unfinished>, SetError> {
    match fs::read(system.join(UNFINISHED)) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Names of people's folders, and of the marks beside them.
fn inboxes(root: &Path) -> io::Result<Vec<String>> {
    names(root, |name| UserId::new(name).is_ok() || [BEHIND, RESTORES].contains(&name))
}

/// Names of the databases' files, those that are written ahead among them.
fn databases(root: &Path) -> io::Result<Vec<String>> {
    names(root, |name| [DIRECTORY, REPORTS, LOG].iter().any(|database| name.starts_with(database)))
}

fn names(root: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root)? {
        names.extend(entry?.file_name().to_str().filter(|name| is_ours(name)).map(str::to_owned));
    }
    Ok(names)
}
