//! The figures, one line each.

use crate::series::Series;
use anyhow::Result;
use std::fmt;
use std::io::Write;

/// What the ratio of ours to the yardstick should be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least:.2}"),
            Self::AtMost(most) => write!(f, "<= {most:.2}"),
        }
    }
}

#[derive(Default)]
pub struct Report {
    quick: bool,
    bounds: usize,
    held: usize,
}

impl Report {
    pub fn new(quick: bool) -> Self {
        Self { quick, ..Self::default() }
    }

    /// Ours beside the yardstick.
    pub fn compare(
        &mut self,
        name: &str,
        unit: &str,
        ours: &Series,
        yardstick: &Series,
        bound: impl Into<Option<Bound>>,
    ) -> Result<()> {
        let (ours, yardstick) = (ours.median(), yardstick.median());
        let ratio = ours / yardstick;
        let verdict = bound.into().map_or(String::new(), |bound| {
            let holds = self.count(bound.holds(ratio));
            format!("  wanted {bound}  {holds}")
        });
        let (ours, yardstick) = (Number(ours), Number(yardstick));
        line(format_args!(
            "{name:<54} ours {ours:>9}  yardstick {yardstick:>9}  {unit:<23}  ratio {ratio:.2}{verdict}"
        ))
    }

    /// Something that must be so.
    pub fn check(&mut self, name: &str, what: &str, holds: bool) -> Result<()> {
        let verdict = self.count(holds);
        line(format_args!("{name:<54} {what}  {verdict}"))
    }

    /// A figure without a yardstick.
    pub fn note(&mut self, name: &str, unit: &str, value: f64) -> Result<()> {
        let value = Number(value);
        line(format_args!("{name:<54} ours {value:>9}  {unit}"))
    }

    /// Something worth knowing.
    pub fn say(&mut self, name: &str, what: &str) -> Result<()> {
        line(format_args!("{name:<54} {what}"))
    }

    pub fn end(&self) -> Result<()> {
        line(format_args!("{} of {} bounds hold", self.held, self.bounds))?;
        if self.quick {
            line(format_args!("these sizes only show that everything runs; leave out --quick to measure"))?;
        }
        Ok(())
    }

    fn count(&mut self, holds: bool) -> &'static str {
        self.bounds += 1;
        self.held += usize::from(holds);
        if holds { "holds" } else { "MISSED" }
    }
}

/// Whoever reads may have gone: that is an error, not a panic.
fn line(text: fmt::Arguments<'_>) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

/// A number with as many digits as say something.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.0.abs() >= 100.0 { 0 } else { 2 };
        f.pad(&format!("{:.digits$}", self.0))
    }
}
