//! The web UI: compiled to WebAssembly, bound to JavaScript, named after its content, compressed.
//!
//! The stamp is written last and covers everything that goes in, so a finished folder with a
//! matching stamp is complete and nothing after the compiler has to run again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::fingerprint::{Files, fingerprint};
use crate::places::Places;
use crate::setup::{self, Need};
use crate::{call, compress};

const STAMP: &str = ".stamp";

/// A change to how the web UI is finished is a change to the result.
const RECIPE: [&str; 3] =
    [include_str!("web.rs"), include_str!("fingerprint.rs"), include_str!("compress.rs")];

pub fn build(places: &Places) -> Result<()> {
    setup::provide(places, &[Need::WasmTarget])?;
    call::run(call::cargo(&places.root).args([
        "build",
        "--package",
        "hongyan-web",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        "web",
    ]))?;
    let wasm = places.target.join("wasm32-unknown-unknown/web/hongyan-web.wasm");
    let statics = read_folder(&places.root.join("web-ui/static"))?;
    ensure!(
        statics.contains_key("index.html"),
        "web-ui/static/index.html is missing: the page that loads the program"
    );

    let stamp = stamp(&wasm, &statics)?;
    if fs::read_to_string(places.web.join(STAMP)).is_ok_and(|old| old == stamp) {
        eprintln!("    web UI unchanged in {}", places.web.display());
        return Ok(());
    }
    let started = Instant::now();
    let mut files = bind(&wasm, &places.target.join("web-ui.bindgen"))?;
    for (path, content) in statics {
        if files.insert(path.clone(), content).is_some() {
            bail!("web-ui/static/{path} has the name of a generated file");
        }
    }
    let files = fingerprint(&files)?;
    for name in ["app.js", "app_bg.wasm"] {
        ensure!(
            !files.contains_key(name),
            "nothing loads {name}: import `./app.js` from a script in web-ui/static that index.html names"
        );
    }
    let files = with_compressed_forms(files, &places.web)?;
    replace(&places.web, &files, &stamp)?;
    report(&files);
    eprintln!("    web UI finished in {} ({:.1} s)", places.web.display(), started.elapsed().as_secs_f64());
    Ok(())
}

/// Generates `app.js`, `app_bg.wasm` and the snippets that they import.
fn bind(wasm: &Path, folder: &Path) -> Result<Files> {
    remove(folder)?;
    Bindgen::new()
        .input_path(wasm)
        // Two fifths of the size, for names that only a debugger would show.
        .remove_name_section(true)
        .remove_producers_section(true)
        .web(true)
        .and_then(|bindgen| {
            // `init()` then knows where the program lies, also after it got its final name.
            bindgen.typescript(false).omit_default_module_path(false).out_name("app").generate(folder)
        })
        .context("wasm-bindgen could not make the JavaScript for the web UI")?;
    read_folder(folder)
}

/// Adds `.br` and `.gz` where they are smaller. A form that lies in the old folder under a name with
/// the same hash is taken from there.
fn with_compressed_forms(mut files: Files, old: &Path) -> Result<Files> {
    let mut forms = Files::new();
    for (path, content) in files.iter().filter(|(path, _)| compress::is_compressible(path)) {
        for (ending, encode) in
            [("br", compress::brotli as fn(&[u8]) -> Result<Vec<u8>>), ("gz", compress::gzip)]
        {
            let name = format!("{path}.{ending}");
            let unchanged = fs::read(old.join(path)).is_ok_and(|before| before == *content);
            let form = match fs::read(old.join(&name)) {
                Ok(form) if unchanged => form,
                _ => encode(content).with_context(|| format!("could not compress {path}"))?,
            };
            if form.len() < content.len() {
                forms.insert(name, form);
            }
        }
    }
    files.append(&mut forms);
    Ok(files)
}

/// Puts the new folder in the place of the old one.
fn replace(folder: &Path, files: &Files, stamp: &str) -> Result<()> {
    let next = sibling(folder, "next")?;
    let old = sibling(folder, "old")?;
    remove(&next)?;
    remove(&old)?;
    for (path, content) in files {
        let file = next.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        }
        fs::write(&file, content).with_context(|| format!("could not write {}", file.display()))?;
    }
    if folder.exists() {
        fs::rename(folder, &old).with_context(|| format!("could not move {} away", folder.display()))?;
    }
    fs::rename(&next, folder).with_context(|| format!("could not put {} in place", folder.display()))?;
    // Newer than the move, so that a build that was looking meanwhile looks again.
    fs::write(folder.join(STAMP), stamp)?;
    remove(&old)
}

fn report(files: &Files) {
    let size = |path: &str| files.get(path).map_or(0, Vec::len) / 1024;
    for path in
        files.keys().filter(|path| path.ends_with(".wasm") || path.ends_with(".js") || path.ends_with(".css"))
    {
        eprintln!(
            "    {path}: {} KB, gzip {} KB, brotli {} KB",
            size(path),
            size(&format!("{path}.gz")),
            size(&format!("{path}.br"))
        );
    }
}

fn stamp(wasm: &Path, statics: &Files) -> Result<String> {
    let wasm = fs::read(wasm).with_context(|| {
        format!("{} is missing: the package hongyan-web must build a program of that name", wasm.display())
    })?;
    let mut hasher = Sha256::new();
    let recipe = RECIPE.iter().map(|source| ("recipe", source.as_bytes()));
    let statics = statics.iter().map(|(path, content)| (path.as_str(), content.as_slice()));
    for (name, content) in recipe.chain(statics).chain([("wasm", wasm.as_slice())]) {
        hasher.update(name.len().to_le_bytes());
        hasher.update(name);
        hasher.update(content.len().to_le_bytes());
        hasher.update(content);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn read_folder(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    collect(folder, "", &mut files)
        .with_context(|| format!("could not read the folder {}", folder.display()))?;
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if !entry.file_name().to_string_lossy().starts_with('.') {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn sibling(folder: &Path, ending: &str) -> Result<PathBuf> {
    let name = folder.file_name().context("the folder of the web UI has no name")?;
    Ok(folder.with_file_name(format!("{}.{ending}", name.to_string_lossy())))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
