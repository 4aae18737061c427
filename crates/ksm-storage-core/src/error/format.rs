//! Formats errors. Each text is one line, regardless of the texts that backends and sources contribute.

use std::{
    error::Error as _,
    fmt::{self, Write},
};

use super::{Error, Operation, Outcome};
use crate::text::OneLine;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut line = OneLine(f);
        match (inner.operation, &inner.location) {
            (Some(operation), Some(location)) => write!(line, "{} on {location}: ", operation.as_str())?,
            (Some(operation), None) => write!(line, "{}: ", operation.as_str())?,
            (None, Some(location)) => write!(line, "{location}: ")?,
            (None, None) => {}
        }
        write!(line, "{}: {}", inner.kind.describe(), inner.message)?;
        if inner.operation.is_some_and(Operation::writes) {
            line.write_str(match inner.outcome {
                Outcome::NotApplied => "; nothing was written",
                Outcome::Unknown => "; whether the write took effect is not known",
                Outcome::Applied => "; the write took effect",
            })?;
        }
        match &inner.hint {
            Some(hint) => write!(line, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sources = Vec::new();
        let mut next = self.source();
        while let Some(source) = next {
            sources.push(source.to_string());
            next = source.source();
        }
        if f.alternate() {
            return f
                .debug_struct("Error")
                .field("kind", &self.0.kind)
                .field("outcome", &self.0.outcome)
                .field("message", &self.to_string())
                .field("sources", &sources)
                .finish();
        }
        write!(f, "{self}")?;
        sources.iter().try_for_each(|source| write!(OneLine(f), "; caused by: {source}"))
    }
}
