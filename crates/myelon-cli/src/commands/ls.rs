//! `myelon ls`: the segments of this machine, each with its producer and its consumers.

use crate::output::{Failure, Output};
use disruptor_mp::liveness::{Ending, ProcessIdentity, ProcessState};
use disruptor_mp::observe::{Catalogue, Life, Observer};
use disruptor_mp::schema::MessageSchema;
use disruptor_mp::{ConsumerInfo, Place, SizeUnit};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lists the rings, counters files and cursors in shared memory, or in the given directories.
///
/// It needs permission to read, and writes nothing. What cannot be opened has a line with the reason.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Directories with rings. Without any: shared memory.
    directories: Vec<PathBuf>,
}

impl Ls {
    pub(crate) fn run(self, output: &mut Output<'_>) -> Result<ExitCode, Failure> {
        let mut lines = Vec::new();
        if self.directories.is_empty() {
            lines.extend(listed("shared memory", Catalogue::of_shared_memory())?);
        }
        for directory in &self.directories {
            lines.extend(listed(&directory.display().to_string(), Catalogue::of(directory))?);
        }
        lines.sort_by(|one, other| (&one.label, one.rank, &one.path).cmp(&(&other.label, other.rank, &other.path)));
        for line in &lines {
            output.put(line)?;
        }
        if lines.is_empty() {
            output.remark("there is no ring; for other directories than shared memory: myelon ls DIR")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn listed(directory: &str, catalogue: std::io::Result<Catalogue>) -> Result<Vec<Line>, Failure> {
    let catalogue =
        catalogue.map_err(|error| Failure::Said(format!("the directory {directory} could not be read: {error}")))?;
    Ok(catalogue.map(|found| Line::of(&found.path, found.segment.as_ref().map_err(ToString::to_string))).collect())
}

/// One segment.
#[derive(Debug, Serialize)]
struct Line {
    /// Its file.
    path: PathBuf,
    /// Its name for people, with its session and rank.
    name: String,
    /// The session's label; empty if it has none.
    label: String,
    rank: Option<u32>,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum What {
    /// Why it cannot be looked at.
    Unreadable {
        reason: String,
    },
    Segment(Segment),
}

#[derive(Debug, Serialize)]
struct Segment {
    kind: &'static str,
    /// What its events or messages are.
    carries: String,
    /// How many slots, or bytes of records, it has; 0 if it is no ring.
    size: u64,
    size_unit: &'static str,
    total_bytes: u64,
    producer: Process,
    /// How many events were published.
    published: i64,
    consumers: Vec<Consumer>,
}

#[derive(Debug, Serialize)]
struct Process {
    /// The pid as the process itself sees it.
    pid: u32,
    /// What the kernel says of it, and what the process does if it lives.
    life: String,
}

#[derive(Debug, Serialize)]
struct Consumer {
    id: String,
    rank: Option<u32>,
    #[serde(flatten)]
    process: Process,
    /// Published events that it has not released.
    lag_events: i64,
}

impl Line {
    fn of(path: &Path, segment: Result<&Observer, String>) -> Self {
        match segment {
            Ok(segment) => {
                let title = segment.title();
                let (name, label, rank) = (segment.called(), title.label().to_owned(), title.rank());
                Self { path: path.to_owned(), name, label, rank, what: What::Segment(Segment::of(segment)) }
            }
            Err(reason) => {
                let name = Place::from(path).to_string();
                Self {
                    path: path.to_owned(),
                    name,
                    label: String::new(),
                    rank: None,
                    what: What::Unreadable { reason },
                }
            }
        }
    }
}

impl Segment {
    fn of(segment: &Observer) -> Self {
        let (size, size_unit) = match segment.size() {
            Some((size, SizeUnit::RecordBytes)) => (size, "bytes"),
            Some((size, _)) => (size, "slots"),
            None => (0, ""),
        };
        let producer = segment.producer();
        // Before the positions: what is published afterwards does not make a lag negative.
        let consumers = segment.consumers();
        let published = segment.published();
        let consumer = |info: ConsumerInfo| Consumer {
            process: Process { pid: info.process.pid, life: life_of(&info) },
            lag_events: published.saturating_sub(info.position).max(0),
            id: info.id,
            rank: info.rank,
        };
        Self {
            kind: kind_of(segment),
            carries: carries(segment),
            size,
            size_unit,
            total_bytes: segment.total_len_bytes(),
            producer: Process { pid: producer.process.pid, life: doing(&producer.life, &producer.process) },
            published,
            consumers: consumers.into_iter().map(consumer).collect(),
        }
    }
}

/// One word for the form.
fn kind_of(segment: &Observer) -> &'static str {
    use disruptor_mp::segment::Kind;
    match segment.kind() {
        Kind::Ring => "events",
        Kind::Dense => "dense events",
        Kind::Records => "records",
        Kind::Counters => "counters",
        Kind::Cursor => "cursor",
        _ => "unknown",
    }
}

/// What a ring carries, for people: the type and the codec of its messages, or the type of its events.
fn carries(segment: &Observer) -> String {
    if !segment.kind().is_ring() {
        return String::new();
    }
    let Ok(schema) = segment.schema() else { return "a damaged schema".to_owned() };
    match schema.content_tag().map(|tag| (MessageSchema::parse(tag), tag)) {
        Some((Ok(message), _)) => format!("{} ({})", message.type_name(), message.codec()),
        Some((Err(_), tag)) => tag.to_owned(),
        None if segment.kind() == disruptor_mp::segment::Kind::Records => "bytes".to_owned(),
        None => schema.type_name().to_owned(),
    }
}

/// What is known of a process whose lock is held: `alive`, or a word that says why it does nothing.
fn alive(process: &ProcessIdentity) -> &'static str {
    match process.observe().state {
        ProcessState::Stopped => "stopped",
        _ => "alive",
    }
}

fn doing(life: &Life, process: &ProcessIdentity) -> String {
    match life {
        Life::Alive => alive(process).to_owned(),
        Life::Unknown(why) => format!("unknown: {why}"),
        life => life.to_string(),
    }
}

fn life_of(consumer: &ConsumerInfo) -> String {
    match consumer.ending {
        None => alive(&consumer.process),
        Some(Ending::Killed) => "dead",
        Some(Ending::Panicked) => "dropped by a panic",
        Some(Ending::Dropped) => "dropped",
        Some(_) => "gone",
    }
    .to_owned()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Unreadable { reason } => write!(f, "{}: {reason}", self.name),
            What::Segment(segment) => write!(f, "{}: {segment}", self.name),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if !self.carries.is_empty() {
            write!(f, " of {}, {} {}", self.carries, self.size, self.size_unit)?;
        }
        write!(f, ", {} bytes in all", self.total_bytes)?;
        let Process { pid, life } = &self.producer;
        write!(f, "\n  producer pid {pid}: {life}, {} published", self.published)?;
        for Consumer { id, rank, process: Process { pid, life }, lag_events } in &self.consumers {
            write!(f, "\n  {id}")?;
            if let Some(rank) = rank {
                write!(f, " (rank {rank})")?;
            }
            write!(f, " pid {pid}: {life}, lags by {lag_events}")?;
        }
        Ok(())
    }
}
