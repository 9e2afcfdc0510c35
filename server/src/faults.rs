//! Where a simulation may let the power fail. In a server nothing watches and every step is passed.

use std::fmt;
use std::sync::Arc;

/// Asked at each step by its name; `false` means that the process ends here.
type Watch = dyn Fn(&'static str) -> bool + Send + Sync;

/// Steps between which storage may be left for ever.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Watch>>);

/// The process has ended, as far as the simulation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

impl Faults {
    /// Lets `watch` decide at each step whether the process goes on.
    pub fn watched(watch: impl Fn(&'static str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// Passes a step.
    pub fn at(&self, step: &'static str) -> Result<(), Ended> {
        match &self.0 {
            Some(watch) if !watch(step) => Err(Ended),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(watched)" } else { "Faults(none)" })
    }
}
