//! A child process that is measured: what it spends and what it holds.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What a process still does after the last client has its answer.
const SETTLING: Duration = Duration::from_millis(40);
const KIB: u64 = 1024;

/// A running program; dropping it ends it.
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a program. Its standard input stays open as long as this process lives.
    pub fn start(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.with_context(|| format!("{program} could not be started"))?;
        let output = child.stdout.take().context("a child without output")?;
        Ok(Self { child, output: BufReader::new(output) })
    }

    /// The lines that the program prints until one begins with `last`.
    pub fn lines_until(&mut self, last: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("a server ended before it was ready: {}", self.child.wait()?);
            }
            lines.push(line.trim_end().to_owned());
            if line.starts_with(last) {
                return Ok(lines);
            }
        }
    }

    /// Processor time spent so far, in user and system mode together.
    pub fn spent(&self) -> Result<Duration> {
        let text = self.read("stat")?;
        // The name in the second field may hold anything, but not after its last parenthesis.
        let fields = text.rsplit_once(')').context("/proc stat")?.1;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let mut ticks = || -> Result<u64> { Ok(fields.next().context("/proc stat")?.parse()?) };
        let ticks = ticks()? + ticks()?;
        Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// What a piece of work costs this process.
    pub async fn cost<T>(&self, work: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
        let before = self.spent()?;
        let done = work.await?;
        tokio::time::sleep(SETTLING).await;
        Ok((done, self.spent()?.saturating_sub(before)))
    }

    /// Memory that is resident, in bytes.
    pub fn resident(&self) -> Result<u64> {
        let text = self.read("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc status")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("/proc status")?;
        Ok(kib * KIB)
    }

    /// What every open file is.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        // A file may be closed while the folder is read.
        Ok(entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect())
    }

    /// The databases that are open.
    pub fn databases(&self) -> Result<BTreeSet<PathBuf>> {
        let mut files = self.files()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "db"));
        Ok(files.into_iter().collect())
    }

    /// Waits until at most so many sockets are open.
    pub async fn sockets_gone(&self, left: usize) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(60);
        const STEP: Duration = Duration::from_millis(50);
        let gone = async {
            while self.files()?.iter().filter(|file| file.to_string_lossy().starts_with("socket:")).count()
                > left
            {
                tokio::time::sleep(STEP).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, gone).await.context("sockets were not let go")?
    }

    fn read(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path).context(path)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("a server could not be ended: {error}");
        }
    }
}
