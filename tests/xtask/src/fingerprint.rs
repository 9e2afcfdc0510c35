//! Names files after their content, so that a browser may keep them for ever.
//!
//! A file that another one refers to gets the hash of its content into its name, and the reference
//! is rewritten. Pages, and files that nothing refers to, keep the name that people know.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256};

/// Path (with `/` between its parts) to content.
pub type Files = BTreeMap<String, Vec<u8>>;

pub fn fingerprint(files: &Files) -> Result<Files> {
    let mut work = Work { files, referred: BTreeSet::new(), finished: BTreeMap::new(), open: Vec::new() };
    for path in files.keys() {
        work.referred.extend(references(files, path).into_iter().map(|reference| reference.target));
    }
    let mut renamed = Files::new();
    for path in files.keys() {
        work.finish(path)?;
    }
    for (path, content) in work.finished.into_values() {
        renamed.insert(path, content);
    }
    Ok(renamed)
}

/// The first 16 digits of the SHA-256 of the content.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

struct Work<'a> {
    files: &'a Files,
    referred: BTreeSet<&'a str>,
    /// From the old path to the new path and content.
    finished: BTreeMap<&'a str, (String, Vec<u8>)>,
    /// The chain of files that wait for the one being finished.
    open: Vec<&'a str>,
}

impl<'a> Work<'a> {
    /// Renames what the file refers to first, because that changes its own content.
    fn finish(&mut self, path: &'a str) -> Result<()> {
        if self.finished.contains_key(path) {
            return Ok(());
        }
        if self.open.contains(&path) {
            bail!("these files refer to each other in a circle: {} → {path}", self.open.join(" → "));
        }
        self.open.push(path);
        let original = &self.files[path];
        let mut content = Vec::with_capacity(original.len());
        let mut copied = 0;
        for reference in references(self.files, path) {
            self.finish(reference.target)?;
            let new_name = file_name(&self.finished[reference.target].0);
            let name_at = reference.end - file_name(reference.target).len();
            content.extend_from_slice(&original[copied..name_at]);
            content.extend_from_slice(new_name.as_bytes());
            copied = reference.end;
        }
        content.extend_from_slice(&original[copied..]);
        self.open.pop();

        let keeps_its_name = path.ends_with(".html") || !self.referred.contains(path);
        let new_path = if keeps_its_name { path.to_owned() } else { with_hash(path, &hash(&content)) };
        self.finished.insert(path, (new_path, content));
        Ok(())
    }
}

struct Reference<'a> {
    target: &'a str,
    /// Where the reference ends in the text.
    end: usize,
}

/// Every place in the text of a file that names another file, in the order of the text.
fn references<'a>(files: &'a Files, path: &str) -> Vec<Reference<'a>> {
    let is_text = [".html", ".js", ".css", ".webmanifest", ".svg"].iter().any(|end| path.ends_with(end));
    let Some(Ok(text)) = files.get(path).filter(|_| is_text).map(|content| std::str::from_utf8(content))
    else {
        return Vec::new();
    };
    let folder = &path[..path.len() - file_name(path).len()];
    let mut found = BTreeMap::new();
    for target in files.keys().filter(|target| *target != path) {
        let beside = target.strip_prefix(folder).filter(|_| !folder.is_empty());
        for written in std::iter::once(target.as_str()).chain(beside) {
            for (at, _) in text.match_indices(written) {
                let end = at + written.len();
                if stands_alone(&text[..at], &text[end..]) {
                    found.insert(end, target.as_str());
                }
            }
        }
    }
    found.into_iter().map(|(end, target)| Reference { target, end }).collect()
}

/// Whether what lies between is a whole address: `"/x"`, `'./x'`, `url(x)`, `"x?v=1"`.
fn stands_alone(before: &str, after: &str) -> bool {
    let before = before.strip_suffix("./").or(before.strip_suffix('/')).unwrap_or(before);
    before.ends_with(['"', '\'', '`', '(']) && after.starts_with(['"', '\'', '`', ')', '?', '#'])
}

fn with_hash(path: &str, hash: &str) -> String {
    let name_at = path.len() - file_name(path).len();
    match path[name_at..].rfind('.') {
        Some(dot) => format!("{}.{hash}{}", &path[..name_at + dot], &path[name_at + dot..]),
        None => format!("{path}.{hash}"),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{Files, fingerprint};

    fn files(list: &[(&str, &str)]) -> Files {
        list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn named<'a>(files: &'a Files, start: &str, end: &str) -> (&'a str, &'a str) {
        let (path, content) =
            files.iter().find(|(path, _)| path.starts_with(start) && path.ends_with(end)).unwrap();
        (path, std::str::from_utf8(content).unwrap())
    }

    fn site(wasm: &str) -> Files {
        files(&[
            ("index.html", r#"<link href="/style.css"><script src="/boot.js" type="module"></script>"#),
            ("boot.js", "import init from './app.js'; init();"),
            ("app.js", "import './snippets/x/inline0.js'; new URL('app_bg.wasm', import.meta.url)"),
            ("snippets/x/inline0.js", "import './other.js'"),
            ("snippets/x/other.js", "1"),
            ("app_bg.wasm", wasm),
            ("style.css", "a { background: url(icons/logo.svg#part) }"),
            ("icons/logo.svg", "<svg/>"),
            ("robots.txt", "User-agent: *"),
        ])
    }

    #[test]
    fn references_follow_the_new_names_all_the_way_down() {
        let renamed = fingerprint(&site("one")).unwrap();

        let (wasm, _) = named(&renamed, "app_bg.", ".wasm");
        let (app, app_text) = named(&renamed, "app.", ".js");
        let (boot, boot_text) = named(&renamed, "boot.", ".js");
        let (style, style_text) = named(&renamed, "style.", ".css");
        let (logo, _) = named(&renamed, "icons/logo.", ".svg");
        let (inline, inline_text) = named(&renamed, "snippets/x/inline0.", ".js");
        let (other, _) = named(&renamed, "snippets/x/other.", ".js");
        assert_eq!(app_text, format!("import './{inline}'; new URL('{wasm}', import.meta.url)"));
        assert_eq!(inline_text, format!("import './{}'", other.trim_start_matches("snippets/x/")));
        assert_eq!(boot_text, format!("import init from './{app}'; init();"));
        assert_eq!(style_text, format!("a {{ background: url({logo}#part) }}"));
        let (_, index) = named(&renamed, "index.html", "");
        assert_eq!(index, format!(r#"<link href="/{style}"><script src="/{boot}" type="module"></script>"#));
        assert!(renamed.contains_key("robots.txt"));
        assert_eq!(renamed.len(), site("").len());
    }

    #[test]
    fn a_change_deep_down_renames_everything_above_it_and_nothing_else() {
        let (one, two) = (fingerprint(&site("one")).unwrap(), fingerprint(&site("two")).unwrap());

        for (start, end) in [("app_bg.", ".wasm"), ("app.", ".js"), ("boot.", ".js")] {
            assert_ne!(named(&one, start, end).0, named(&two, start, end).0);
        }
        assert_eq!(named(&one, "style.", ".css"), named(&two, "style.", ".css"));
        assert_eq!(fingerprint(&site("one")).unwrap(), one);
    }

    #[test]
    fn a_word_that_only_looks_like_a_file_stays() {
        let renamed =
            fingerprint(&files(&[("a.js", "'my-b.js'; 'b.json'; 'https://c.example/b.js'"), ("b.js", "")]))
                .unwrap();
        assert_eq!(named(&renamed, "a.js", "").1, "'my-b.js'; 'b.json'; 'https://c.example/b.js'");
        assert!(renamed.contains_key("b.js"));
    }

    #[test]
    fn a_circle_is_named() {
        let error = fingerprint(&files(&[("a.js", "'./b.js'"), ("b.js", "'./a.js'")])).unwrap_err();
        assert!(error.to_string().contains("a.js → b.js → a.js"), "{error}");
    }
}
