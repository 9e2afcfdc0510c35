//! Where sets lie: which there are, under which names, and which of them go.

use super::SetError;
use super::manifest::{self, NAME};
use super::scratch::Scratch;
use hongyan_wire::Timestamp;
use hongyan_wire::sets::BackupSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a folder's name ends with until it is whole, and once it is being removed.
const PARTIAL: &str = ".partial";

/// The folder of all sets within that of all backups.
pub(super) fn root(backups: &Path) -> PathBuf {
    backups.join("sets")
}

/// Makes a folder that nobody else may look into.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// The folder in which a set is made.
pub(super) fn partial(root: &Path, id: &str) -> PathBuf {
    root.join(format!("{id}{PARTIAL}"))
}

/// An id for a set of this moment: `20260115T103000Z`, with a number behind it where there is one of the same second. It
/// comes after all that are there: where there is one of the future, as of a clock that was set since, it has the second of
/// that one.
pub(super) fn free_id(root: &Path, now: Timestamp) -> String {
    let at: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let at = format!("{}Z", at.split(['.', 'Z']).next().unwrap_or_default());
    // What cannot be looked through has none that could be met.
    let names = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let taken = names.filter_map(|name| {
        let name = name.to_str()?;
        let id = name.strip_suffix(PARTIAL).unwrap_or(name);
        let (at, n) = id.split_once('-').unwrap_or((id, "1"));
        Some((at.to_owned(), n.parse::<u32>().ok()?)).filter(|_| is_id(id))
    });
    match taken.max() {
        Some((last, n)) if last >= at => format!("{last}-{}", n.saturating_add(1)),
        _ => at,
    }
}

/// Whether a text can be a set's id; then it names nothing outside of the folder.
fn is_id(text: &str) -> bool {
    let (at, n) = text.split_once('-').unwrap_or((text, "2"));
    let bytes = at.as_bytes();
    let digits = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let is_at = bytes.len() == 16
        && digits(bytes.get(..8))
        && digits(bytes.get(9..15))
        && bytes.get(8) == Some(&b'T')
        && bytes.get(15) == Some(&b'Z');
    is_at && (1..=9).contains(&n.len()) && n.bytes().all(|byte| byte.is_ascii_digit())
}

/// Ids of those that are whole, the newest first.
fn ids(root: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        ids.extend(name.to_str().filter(|name| is_there(root, name)).map(str::to_owned));
    }
    ids.sort_by(|a, b| order(b).cmp(&order(a)));
    Ok(ids)
}

/// `-10` comes after `-9`.
fn order(id: &str) -> (&str, usize, &str) {
    let (at, n) = id.split_once('-').unwrap_or((id, ""));
    (at, n.len(), n)
}

pub(super) fn is_there(root: &Path, id: &str) -> bool {
    is_id(id) && root.join(id).join(NAME).is_file()
}

/// All sets in a folder, the newest first. One whose manifest cannot be read is passed over with a warning. Blocks on
/// storage.
pub fn list(root: &Path) -> io::Result<Vec<BackupSet>> {
    let read = |id: String| match manifest::summary(&root.join(&id)) {
        Ok(set) => Some(BackupSet { id, ..set }),
        Err(error) => {
            tracing::warn!(id, %error, "a set's manifest cannot be read");
            None
        }
    };
    Ok(ids(root)?.into_iter().filter_map(read).collect())
}

/// The newest set. Blocks on storage.
pub fn newest(root: &Path) -> io::Result<Option<BackupSet>> {
    Ok(ids(root)?.into_iter().find_map(|id| manifest::summary(&root.join(id)).ok()))
}

/// What is shown of one. Blocks on storage.
pub fn summary(root: &Path, id: &str) -> Result<Option<BackupSet>, SetError> {
    if !is_there(root, id) {
        return Ok(None);
    }
    Ok(Some(manifest::summary(&root.join(id))?))
}

/// The folder of a set: by its id, by a path to it, or, with none, of the newest complete one; where none is complete, of
/// the newest. Blocks on storage.
///
/// # Errors
/// [`SetError::NoSet`], [`SetError::NoSets`].
pub fn find(root: &Path, set: Option<&str>) -> Result<PathBuf, SetError> {
    let Some(set) = set else {
        let all = list(root)?;
        let found = all.iter().find(|set| set.complete).or(all.first());
        return found.map(|set| root.join(&set.id)).ok_or_else(|| SetError::NoSets(root.to_owned()));
    };
    if is_there(root, set) {
        return Ok(root.join(set));
    }
    let path = Path::new(set);
    if set.contains('/') && path.join(NAME).is_file() {
        return Ok(path.to_owned());
    }
    Err(SetError::NoSet(set.to_owned()))
}

/// Ids of those that are too many or too old, given the newest first. The newest complete one is never among them; where
/// none is complete, the newest.
pub(super) fn surplus(sets: &[BackupSet], most: usize, keep: Duration, now: Timestamp) -> Vec<String> {
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let oldest = now.millis().saturating_sub(keep);
    let stays = sets.iter().position(|set| set.complete).unwrap_or(0);
    let goes = |n: &usize, set: &BackupSet| *n != stays && (*n >= most || set.made_at.millis() < oldest);
    sets.iter().enumerate().filter(|(n, set)| goes(n, set)).map(|(_, set)| set.id.clone()).collect()
}

/// Removes one: at once it is none any more, whatever happens on the way.
pub(super) fn remove(root: &Path, id: &str) -> io::Result<()> {
    let going = partial(root, id);
    fs::rename(root.join(id), &going)?;
    File::open(root)?.sync_all()?;
    fs::remove_dir_all(going)
}

/// Clears away what is left of makings and removals that broke off.
pub(super) fn clear(root: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.strip_suffix(PARTIAL));
        if id.is_some_and(is_id) {
            fs::remove_dir_all(&path)?;
        }
    }
    Scratch::clear_left(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn set(day: i64, complete: bool) -> BackupSet {
        BackupSet {
            id: day.to_string(),
            made_at: Timestamp::from_millis(day * DAY),
            server: String::new(),
            people: 0,
            messages: 0,
            size: 0,
            complete,
            left_out: Vec::new(),
        }
    }

    fn gone(sets: &[BackupSet], most: usize, days: u64, now: i64) -> Vec<String> {
        surplus(sets, most, Duration::from_secs(days * 86_400), Timestamp::from_millis(now * DAY))
    }

    #[test]
    fn too_many_and_too_old_go_and_the_newest_complete_one_stays() {
        let all = [set(9, true), set(8, true), set(7, true), set(2, true)];
        assert!(gone(&all, 4, 30, 10).is_empty());
        assert_eq!(gone(&all, 2, 30, 10), ["7", "2"]);
        assert_eq!(gone(&all, 4, 5, 10), ["2"]);
        assert_eq!(gone(&all, 4, 5, 1_000), ["8", "7", "2"], "the last one is better than none");
        let all = [set(9, false), set(8, false), set(7, true), set(6, true)];
        assert_eq!(gone(&all, 1, 30, 10), ["8", "6"]);
        assert_eq!(gone(&all, 9, 5, 1_000), ["9", "8", "6"]);
        let all = [set(9, false), set(8, false)];
        assert_eq!(gone(&all, 1, 5, 1_000), ["8"]);
        assert!(gone(&[], 1, 1, 1).is_empty());
    }

    #[test]
    fn ids_are_of_their_second_in_their_order_and_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_768_473_000_123);
        let mut made = Vec::new();
        for _ in 0..11 {
            let id = free_id(dir.path(), now);
            assert!(is_id(&id), "{id}");
            fs::create_dir(dir.path().join(&id)).unwrap();
            fs::write(dir.path().join(&id).join(NAME), b"{").unwrap();
            made.insert(0, id);
        }
        assert_eq!(made[10], "20260115T103000Z");
        assert_eq!((made[9].as_str(), made[0].as_str()), ("20260115T103000Z-2", "20260115T103000Z-11"));
        assert_eq!(ids(dir.path()).unwrap(), made);
        // The clock was ahead, and is set.
        assert_eq!(free_id(dir.path(), now.plus_millis(-86_400_000)), "20260115T103000Z-12");
        assert_eq!(free_id(dir.path(), now.plus_millis(1_000)), "20260115T103001Z");
        for bad in
            ["", "..", "../20260115T103000Z", "20260115T103000Z/..", "20260115T103000Z-", "2026", "a-2"]
        {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_being_removed_is_no_set_and_is_cleared_away() {
        let dir = tempfile::tempdir().unwrap();
        let id = "20260115T103000Z";
        let half = partial(dir.path(), id);
        make_dir(&half).unwrap();
        fs::write(half.join(NAME), b"{}").unwrap();
        fs::create_dir(dir.path().join("other.partial")).unwrap();
        assert!(ids(dir.path()).unwrap().is_empty());
        clear(dir.path()).unwrap();
        assert!(!half.exists() && dir.path().join("other.partial").exists());
        make_dir(&dir.path().join(id)).unwrap();
        fs::write(dir.path().join(id).join(NAME), b"{}").unwrap();
        assert_eq!(ids(dir.path()).unwrap(), [id]);
        remove(dir.path(), id).unwrap();
        assert!(ids(dir.path()).unwrap().is_empty() && !half.exists());
    }
}
