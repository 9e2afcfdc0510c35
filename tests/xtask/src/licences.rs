//! Licences and origins of the dependencies, as `deny.toml` allows them.
//!
//! A small part of what cargo-deny does with the same file, so that it can run everywhere: it asks
//! `cargo metadata` and needs nothing installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use spdx::{Expression, Licensee};

use crate::call;
use crate::places::Places;

/// How Cargo names the public registry.
const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub fn check(places: &Places) -> Result<()> {
    let file = fs::read_to_string(places.root.join("deny.toml")).context("could not read deny.toml")?;
    let rules = Rules::parse(&file).context("deny.toml")?;
    let metadata =
        call::output(call::cargo(&places.root).args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("`cargo metadata` lists no packages")?;

    let mut used = BTreeSet::new();
    let objections: Vec<String> =
        packages.iter().flat_map(|package| rules.objections(package, &mut used)).collect();
    for unused in rules.allowed.iter().filter(|licence| !used.contains(&licence.to_string())) {
        eprintln!("    deny.toml allows {unused}, which no package needs any more");
    }
    if !objections.is_empty() {
        bail!("{} objections:\n  {}", objections.len(), objections.join("\n  "));
    }
    eprintln!("    {} packages have a licence and an origin that deny.toml allows", packages.len());
    Ok(())
}

struct Rules {
    allowed: Vec<Licensee>,
    /// Licences that one package may have besides.
    exceptions: BTreeMap<String, Vec<Licensee>>,
    banned: BTreeMap<String, String>,
}

impl Rules {
    fn parse(file: &str) -> Result<Self> {
        let file: toml::Table = file.parse()?;
        let licences = file.get("licenses").context("the table [licenses] is missing")?;
        let mut exceptions = BTreeMap::new();
        for exception in list(licences.get("exceptions")) {
            exceptions.insert(crate_name(exception)?, licensees(exception.get("allow"))?);
        }
        let mut banned = BTreeMap::new();
        for ban in list(file.get("bans").and_then(|bans| bans.get("deny"))) {
            let reason = ban.get("reason").and_then(toml::Value::as_str).unwrap_or("it is banned");
            banned.insert(crate_name(ban)?, reason.to_owned());
        }
        Ok(Self { allowed: licensees(licences.get("allow"))?, exceptions, banned })
    }

    /// What speaks against one package of `cargo metadata`. The allowed licences that it relies on
    /// are added to `used`.
    fn objections(&self, package: &Value, used: &mut BTreeSet<String>) -> Vec<String> {
        let name = package["name"].as_str().unwrap_or("a package without a name");
        let named = format!("{name} {}", package["version"].as_str().unwrap_or_default());
        let mut objections = Vec::new();
        if let Some(reason) = self.banned.get(name) {
            objections.push(format!("{named} is banned: {reason}"));
        }
        match package["source"].as_str() {
            None => objections.extend(wildcards(package, &named)),
            Some(PUBLIC_REGISTRY) => {}
            Some(other) => {
                objections.push(format!("{named} comes from {other}, not from the public registry"))
            }
        }
        if let Err(error) = self.licence(package, name, used) {
            objections.push(format!("{named}: {error}"));
        }
        objections
    }

    fn licence(&self, package: &Value, name: &str, used: &mut BTreeSet<String>) -> Result<()> {
        let licence = package["license"].as_str().context("its manifest names no licence")?;
        let expression = Expression::parse_mode(licence, spdx::ParseMode::LAX)
            .map_err(|error| anyhow::anyhow!("`{licence}` is not a licence expression: {}", error.reason))?;
        let mut relied_on = BTreeSet::new();
        let exceptions = self.exceptions.get(name).map_or(&[][..], Vec::as_slice);
        let allowed = expression.evaluate(|requirement| {
            if let Some(licensee) = self.allowed.iter().find(|licensee| licensee.satisfies(requirement)) {
                relied_on.insert(licensee.to_string());
                return true;
            }
            exceptions.iter().any(|licensee| licensee.satisfies(requirement))
        });
        if !allowed {
            bail!("the licence `{licence}` is not allowed; deny.toml lists those that are");
        }
        used.append(&mut relied_on);
        Ok(())
    }
}

/// Dependencies of our own packages that accept any version.
fn wildcards(package: &Value, named: &str) -> Vec<String> {
    let Some(dependencies) = package["dependencies"].as_array() else { return Vec::new() };
    dependencies
        .iter()
        .filter(|dependency| dependency["req"] == "*" && dependency["path"].is_null())
        .map(|dependency| format!("{named} depends on any version of {}", dependency["name"]))
        .collect()
}

fn list(value: Option<&toml::Value>) -> &[toml::Value] {
    value.and_then(toml::Value::as_array).map_or(&[], Vec::as_slice)
}

fn licensees(value: Option<&toml::Value>) -> Result<Vec<Licensee>> {
    list(value)
        .iter()
        .map(|licence| {
            let licence = licence.as_str().context("a licence is not a string")?;
            Licensee::parse(licence).map_err(|error| anyhow::anyhow!("`{licence}`: {}", error.reason))
        })
        .collect()
}

/// `crate` may carry a version requirement behind `@`, which is of no interest here.
fn crate_name(table: &toml::Value) -> Result<String> {
    let spec = table.get("crate").and_then(toml::Value::as_str).context("an entry has no `crate`")?;
    Ok(spec.split('@').next().unwrap_or(spec).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{PUBLIC_REGISTRY, Rules};

    const FILE: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"]
        exceptions = [{ crate = "roots", allow = ["CDLA-Permissive-2.0"] }]
        [bans]
        deny = [{ crate = "openssl-sys", reason = "TLS is rustls here" }]
    "#;

    fn package(name: &str, licence: &str) -> Value {
        json!({ "name": name, "version": "1.0.0", "source": PUBLIC_REGISTRY, "license": licence })
    }

    fn objections(package: &Value) -> Vec<String> {
        Rules::parse(FILE).unwrap().objections(package, &mut BTreeSet::new())
    }

    #[test]
    fn a_licence_expression_is_weighed() {
        for fine in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR Apache-2.0) AND MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert_eq!(objections(&package("a", fine)), [""; 0], "{fine}");
        }
        for wrong in ["GPL-3.0", "MIT AND GPL-3.0", "GPL-2.0 WITH LLVM-exception", "CDLA-Permissive-2.0"] {
            assert!(objections(&package("a", wrong))[0].contains("not allowed"), "{wrong}");
        }
        assert!(objections(&package("a", "my own"))[0].contains("not a licence expression"));
        assert!(objections(&json!({ "name": "a", "version": "1.0.0" }))[0].contains("names no licence"));
    }

    #[test]
    fn an_exception_holds_for_its_package_only() {
        assert_eq!(objections(&package("roots", "CDLA-Permissive-2.0")), [""; 0]);
    }

    #[test]
    fn origins_bans_and_wildcards_are_seen() {
        let mut elsewhere = package("a", "MIT");
        elsewhere["source"] = json!("git+https://example.org/a");
        assert!(objections(&elsewhere)[0].contains("not from the public registry"));

        assert!(objections(&package("openssl-sys", "MIT"))[0].contains("TLS is rustls here"));

        let ours = json!({
            "name": "ours", "version": "0.1.0", "license": "MIT", "source": null,
            "dependencies": [{ "name": "any", "req": "*" }, { "name": "beside", "req": "*", "path": "/x" }],
        });
        assert_eq!(objections(&ours), ["ours 0.1.0 depends on any version of \"any\""]);
    }
}
