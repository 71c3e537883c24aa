//! Where a command writes, and how: as text for people, or as one JSON object a line.

use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};

/// Why a command could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The output could not be written.
    #[error("the output could not be written")]
    Output(#[from] io::Error),
    /// Anything else, as a sentence that says what to do.
    #[error("{0}")]
    Said(String),
}

/// The output of a command.
pub struct Output<'a> {
    writer: &'a mut dyn Write,
    is_json: bool,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("is_json", &self.is_json).finish_non_exhaustive()
    }
}

impl<'a> Output<'a> {
    /// An output that goes to `writer`, as JSON or as text.
    pub fn new(writer: &'a mut dyn Write, is_json: bool) -> Self {
        Self { writer, is_json }
    }

    /// Whether a program reads it.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes one thing: as text it is what `Display` says, as JSON it is one object in one line.
    ///
    /// # Errors
    /// `Output`: the writer refused.
    pub fn put<T: Serialize + Display>(&mut self, thing: &T) -> Result<(), Failure> {
        if self.is_json {
            serde_json::to_writer(&mut *self.writer, thing).map_err(io::Error::from)?;
            writeln!(self.writer)?;
        } else {
            writeln!(self.writer, "{thing}")?;
        }
        Ok(())
    }

    /// Writes a line that only people need: a heading, or a hint. A program does not see it.
    ///
    /// # Errors
    /// `Output`: the writer refused.
    pub fn remark(&mut self, line: &str) -> Result<(), Failure> {
        if !self.is_json {
            writeln!(self.writer, "{line}")?;
        }
        Ok(())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// `Output`: the writer refused.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.writer.write_all(bytes)?)
    }

    /// Shows what was written until now.
    ///
    /// # Errors
    /// `Output`: the writer refused.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.writer.flush()?)
    }
}
