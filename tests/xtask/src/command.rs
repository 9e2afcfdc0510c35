//! The command line: words in, one command out.

use anyhow::{Result, bail};

pub const USAGE: &str = "\
Usage: cargo xtask <command>

  run [-- ARGUMENTS]   build the web UI and the server, then start the server; ARGUMENTS go to it
  build                the web UI, the server and hongyan to install, below target/dist: takes minutes,
                       for a program that is faster by a tenth
  web                  only the web UI, into target/web-ui
  test [--only NAME]   everything CI checks; NAME is one step (setup, fmt, lint, licences, web,
                       unit, e2e), a file of tests/e2e/tests (api, browser, …) or part of the
                       name of an end-to-end test
  bench [NAME …]       measure what `build` makes
  advisories           check the dependencies against the advisory database (needs the network)
";

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Run(Vec<String>),
    Build,
    Web,
    Test { only: Option<String> },
    Bench(Vec<String>),
    Advisories,
}

impl Command {
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut words = words.into_iter();
        let name = words.next().unwrap_or_else(|| "help".to_owned());
        let mut rest: Vec<String> = words.collect();
        let command = match name.as_str() {
            "help" | "--help" | "-h" => return Ok(Self::Help),
            "run" => return Ok(Self::Run(without_separator(rest))),
            "bench" => return Ok(Self::Bench(without_separator(rest))),
            "build" => Self::Build,
            "web" => Self::Web,
            "advisories" => Self::Advisories,
            "test" => match rest.iter().position(|word| word == "--only") {
                None => Self::Test { only: None },
                Some(at) if at + 1 < rest.len() => {
                    let only = rest.remove(at + 1);
                    rest.remove(at);
                    Self::Test { only: Some(only) }
                }
                Some(_) => bail!("--only wants a name\n\n{USAGE}"),
            },
            unknown => bail!("there is no command `{unknown}`\n\n{USAGE}"),
        };
        match rest.first() {
            None => Ok(command),
            Some(word) => bail!("`{name}` does not take `{word}`\n\n{USAGE}"),
        }
    }
}

fn without_separator(mut words: Vec<String>) -> Vec<String> {
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::Command;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(line.split_whitespace().map(str::to_owned)).ok()
    }

    #[test]
    fn words_become_commands() {
        assert_eq!(parse(""), Some(Command::Help));
        assert_eq!(parse("run"), Some(Command::Run(vec![])));
        assert_eq!(parse("run -- --port 1"), Some(Command::Run(vec!["--port".into(), "1".into()])));
        assert_eq!(parse("test"), Some(Command::Test { only: None }));
        assert_eq!(parse("test --only fmt"), Some(Command::Test { only: Some("fmt".into()) }));
        assert_eq!(parse("bench send 5"), Some(Command::Bench(vec!["send".into(), "5".into()])));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["dance", "build now", "test fmt", "test --only", "test --only fmt lint"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
