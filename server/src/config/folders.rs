//! Where everything lies: the inboxes, the system, the backups, each in a folder of its own.
//!
//! What always holds: none of them lies where another one clears away, or moves aside, what it takes for its own.

use super::{Config, ConfigError, Values, error};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const USERS: &str = "USER_STORAGE_PATH";
const SYSTEM: &str = "SYSTEM_STORAGE_PATH";
const BACKUPS: &str = "DATABASE_BACKUP_PATH";

/// The folders. Naming them makes none.
pub(super) struct Folders {
    pub users: PathBuf,
    pub system: PathBuf,
    pub backups: PathBuf,
}

impl Folders {
    /// Takes what is set.
    ///
    /// # Errors
    /// One that lies where another clears away, and one that is named and could only be made together with its parent.
    pub fn of(values: &Values) -> Result<Self, ConfigError> {
        let users = PathBuf::from(values.text(USERS).unwrap_or("data/user_storage"));
        let beside = users.parent().unwrap_or(Path::new(""));
        let folder = |name, default| values.text(name).map_or_else(|| beside.join(default), PathBuf::from);
        let (system, backups) = (folder(SYSTEM, "system"), folder(BACKUPS, "backups"));
        let all = [(USERS, &users), (SYSTEM, &system), (BACKUPS, &backups)];
        apart(&all)?;
        for (name, path) in all {
            if values.text(name).is_some() {
                can_be_made(name, path)?;
            }
        }
        Ok(Self { users, system, backups })
    }
}

impl Config {
    /// Makes the folders that are not there yet.
    ///
    /// # Errors
    /// The setting whose folder cannot be made.
    pub fn make_folders(&self) -> Result<(), ConfigError> {
        make(USERS, &self.user_storage)?;
        make(SYSTEM, &self.system_storage)?;
        make(BACKUPS, &self.backups)
    }
}

/// What of the backups' folder is cleaned.
const OWN_BACKUPS: [&str; 3] = ["people", "jobs", "sets"];

/// None where another one is alone.
fn apart(all: &[(&'static str, &PathBuf)]) -> Result<(), ConfigError> {
    let followed = |name, path: &Path| {
        let unseen = |e| error(name, &format!("the folder {} cannot be looked for: {e}", path.display()));
        resolved(path).map_err(unseen)
    };
    let (mut roots, mut links, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (name, path) in all {
        let (root, passed) = followed(name, path)?;
        // A link that lies in one goes with what is not its own there, wherever it leads.
        links.extend(passed.into_iter().map(|link| (*name, link)));
        roots.push((*name, root));
    }
    for (name, root) in roots.iter().filter(|(name, _)| *name == BACKUPS) {
        for own in OWN_BACKUPS {
            let part = root.join(own);
            let (to, passed) = followed(name, &part)?;
            links.extend(passed.into_iter().filter(|link| *link != part).map(|link| (*name, link)));
            parts.push((part, to));
        }
    }
    for (outer, root) in &roots {
        for (inner, path) in roots.iter().chain(&links).filter(|(name, _)| name != outer) {
            let Some(part) = within(outer, root, path) else { continue };
            return Err(error(
                inner,
                &format!(
                    "{} is in {}, where {outer} clears away what is not its own; name a folder that is not in it",
                    path.display(),
                    root.join(part).components().as_path().display()
                ),
            ));
        }
    }
    // What is cleaned may lie elsewhere: where a part of its own is a link.
    for (n, (part, to)) in parts.iter().enumerate() {
        // A link on the way to another goes there too.
        let elsewhere = roots.iter().chain(&links).filter(|(name, _)| *name != BACKUPS);
        let of = elsewhere
            .filter(|(name, path)| within(name, path, to).is_some() || path.starts_with(to))
            .map(|(name, _)| (*name).to_owned());
        let others = parts[..n].iter().chain(&parts[n + 1..]);
        let own = others
            .filter(|(_, other)| to.starts_with(other) || other.starts_with(to))
            .map(|(other, _)| other.display().to_string());
        if let Some(other) = of.chain(own).next() {
            let (part, to) = (part.display(), to.display());
            return Err(error(
                BACKUPS,
                &format!("{part} leads to {to}, which is of {other}; let it lead elsewhere"),
            ));
        }
    }
    Ok(())
}

/// The part of a setting's folder in which a path lies that would be harmed there.
fn within<'a>(setting: &str, root: &Path, path: &'a Path) -> Option<&'a Path> {
    own(setting, path.strip_prefix(root).ok()?)
}

/// The part of a setting's folder in which something else would be harmed, if `rest`, a path below it, lies in one.
fn own<'a>(setting: &str, rest: &'a Path) -> Option<&'a Path> {
    let first = Path::new(rest.iter().next().unwrap_or_default());
    let name = first.to_string_lossy();
    let is_own = match setting {
        // Folders of nobody go at each start, and a restore moves all of them aside.
        USERS => return Some(Path::new("")),
        // A restore moves aside what is called so.
        SYSTEM => {
            ["log.db", "directory.db", "reports.db", ".restoring"].iter().any(|own| name.starts_with(own))
        }
        // What is no whole backup goes at each start.
        _ => OWN_BACKUPS.contains(&&*name),
    };
    is_own.then_some(first)
}

/// Links that are followed on one way, as Linux has it (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// A path from the root on, with links followed as far as it is there, and where those links lie.
fn resolved(path: &Path) -> std::io::Result<(PathBuf, Vec<PathBuf>)> {
    let (mut found, mut links) = (PathBuf::new(), Vec::new());
    let path = std::path::absolute(path)?;
    let parts = |path: &Path| path.iter().rev().map(PathBuf::from).collect::<Vec<_>>();
    let mut left = parts(&path);
    while let Some(part) = left.pop() {
        match part.as_os_str().as_encoded_bytes() {
            b"." => continue,
            // Of what a link leads to, as it was followed already.
            b".." => drop(found.pop()),
            _ => found.push(part),
        }
        if !found.is_symlink() {
            continue;
        }
        let to = fs::read_link(&found)?;
        links.push(found.clone());
        if links.len() > LINKS_MAX {
            return Err(std::io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()));
        }
        found.pop();
        left.extend(parts(&to));
    }
    Ok((found, links))
}

/// A folder that was named: it must exist, or the folder that it is to be made in.
fn can_be_made(name: &str, path: &Path) -> Result<(), ConfigError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() || parent.is_dir() {
        return Ok(());
    }
    Err(error(name, &format!("the folder {} does not exist", path.display())))
}

fn make(name: &str, path: &Path) -> Result<(), ConfigError> {
    // What people were sent is nobody else's business on a shared machine.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|e| error(name, &format!("the folder {} cannot be made: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Paths below `root`; an empty one is not set.
    fn folders(root: &Path, [users, system, backups]: [&str; 3]) -> Result<Folders, ConfigError> {
        let set = [(USERS, users), (SYSTEM, system), (BACKUPS, backups)];
        let set = set.into_iter().filter(|(_, path)| !path.is_empty());
        let path = |path| root.join(path).display().to_string();
        Folders::of(&Values(set.map(|(name, to)| (name.to_owned(), path(to))).collect::<BTreeMap<_, _>>()))
    }

    #[test]
    fn none_lies_where_another_one_is_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("data/people")).unwrap();
        for folder in ["elsewhere", "leading", "both", "one", "round", "large", "near"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(root.join(to), root.join(from)).unwrap();
        for (from, to) in [
            ("link", "data"),
            ("data/linked", "elsewhere"),
            ("through", "data/linked"),
            ("leading/people", "data"),
            ("both/people", "elsewhere"),
            ("both/sets", "elsewhere"),
            ("one/sets", "one/people"),
            ("large/link", "data"),
            ("near/people", "large"),
            ("round/a", "round/b"),
            ("round/b", "round/a"),
        ] {
            link(from, to);
        }
        for (set, setting) in [
            (["data", "", "data/backups"], BACKUPS),
            (["data", "data/system", ""], SYSTEM),
            (["data", "data", ""], SYSTEM),
            (["data", "", "data"], BACKUPS),
            (["data", "", "link/backups"], BACKUPS),
            (["data", "", "data/linked"], BACKUPS),
            (["data", "", "data/linked/within"], BACKUPS),
            (["data", "", "through/within"], BACKUPS),
            (["data", "", "leading"], BACKUPS),
            (["data", "", "both"], BACKUPS),
            (["data", "", "one"], BACKUPS),
            (["large/link", "", "near"], BACKUPS),
            (["data", "", "round/a"], BACKUPS),
            (["link", "data/system", ""], SYSTEM),
            (["data", "link/not/there/../../system", ""], SYSTEM),
            (["data", "", "other/../data/./backups"], BACKUPS),
            // What is not named lies beside it: then within it.
            (["data/people/..", "", ""], SYSTEM),
            (["data/people", "", "data"], USERS),
            (["data/people/ann", "", "data"], USERS),
            (["users", "data/sets", "data"], SYSTEM),
            (["users", "data", "data/log.db-backups"], BACKUPS),
            (["data/.restoring/users", "data", ""], USERS),
        ] {
            let refused = folders(root, set).err().unwrap_or_else(|| panic!("{set:?}"));
            assert_eq!(refused.setting, setting, "{set:?}: {refused}");
        }
        let refused = folders(root, ["data", "", "data/backups"]).err().unwrap().to_string();
        let data = fs::canonicalize(root.join("data")).unwrap();
        let told = format!(
            "DATABASE_BACKUP_PATH: {0}/backups is in {0}, where USER_STORAGE_PATH clears",
            data.display()
        );
        assert!(refused.starts_with(&told), "{refused}");
        assert!(refused.contains("name a folder that is not in it"), "{refused}");
    }

    #[test]
    fn what_harms_nobody_is_taken() {
        for set in [
            ["users", "", ""],
            ["users", "system", "backups"],
            // One within another that does nothing there, and names that only begin alike.
            ["data/users", "data", "data/backups"],
            ["data/users", "data/system", "data"],
            ["data/users", "data", "data"],
            ["users", "users-system", "users.backups"],
            ["data/peoples", "", "data"],
            // A part of the backups on another disk.
            ["users", "data", "linked"],
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("data/large")).unwrap();
            fs::create_dir(dir.path().join("linked")).unwrap();
            std::os::unix::fs::symlink("../data/large", dir.path().join("linked/sets")).unwrap();
            if let Err(refused) = folders(dir.path(), set) {
                panic!("{set:?}: {refused}");
            }
            // Naming them has made none.
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "{set:?}");
        }
    }
}
