//! Another process that follows commands: it produces, consumes, holds a lease, forks, is stopped and is killed.
//!
//! One line on its stdin is one command, and one line on its stdout the answer: `= done ...` or `= error ...`. Places
//! with a `/` are files.

use crate::stage::{PATIENCE, Step, step};
use disruptor_mp::counters::ids;
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, CountersFile, HeldEvent, Patience, RequiredConsumerLivenessConfig, SharedConsumer, SharedProducer,
    WaitStrategy, attach_shared_consumer, build_shared_single_producer,
};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::path::PathBuf;
use testkit::process::{Respawn, Victim, is_victim, say, wait_to_be_killed};
use testkit::test_name;

/// A process with a role in a test; killed and reaped when dropped.
pub(crate) struct Actor {
    pub(crate) victim: Victim,
}

impl Actor {
    pub(crate) fn new() -> Self {
        Self::start(Self::respawn())
    }

    /// The settings of a new actor, which may be changed and are passed to [`start`](Self::start).
    pub(crate) fn respawn() -> Respawn {
        Respawn::test(test_name!(actor)).piped_stdin()
    }

    pub(crate) fn start(respawn: Respawn) -> Self {
        Self { victim: respawn.spawn() }
    }

    /// Makes it run a command, and waits for the answer, which must be a success.
    #[track_caller]
    pub(crate) fn does(&mut self, command: impl Display) -> String {
        self.begins(&command);
        self.ends().unwrap_or_else(|error| panic!("`{command}`: {error}"))
    }

    /// Makes it run a command that must fail, and returns the error's text.
    #[track_caller]
    pub(crate) fn fails(&mut self, command: impl Display) -> String {
        self.begins(&command);
        self.ends().expect_err("an error was to be expected")
    }

    /// Makes it begin a command that takes a while.
    pub(crate) fn begins(&mut self, command: impl Display) {
        self.victim.send_line(&command.to_string());
    }

    /// Waits for the answer to the oldest command that has not been answered.
    pub(crate) fn ends(&mut self) -> Result<String, String> {
        let line = self.victim.wait_line("= ");
        match line.strip_prefix("= done") {
            Some(answer) => Ok(answer.trim_start().to_owned()),
            None => Err(line["= error ".len()..].to_owned()),
        }
    }

    /// Ends its commands: it drops what it has and exits.
    pub(crate) fn leaves(mut self) {
        self.victim.close_stdin();
        assert!(self.victim.wait_exit(PATIENCE).success());
    }

    pub(crate) fn dies(mut self) {
        self.victim.kill_and_reap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.victim.pid()
    }
}

/// The place for a word in a command.
pub(crate) fn place(word: &str) -> Place {
    if word.contains('/') { Place::from(PathBuf::from(word)) } else { Place::from(word) }
}

#[test]
#[ignore = "runs as a victim"]
fn actor() {
    if !is_victim() {
        return;
    }
    let mut part = Part::default();
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        match part.play(line.trim_end()) {
            Ok(answer) => say(format!("= done {answer}").trim_end()),
            Err(error) => {
                let mut text = format!("= error {error}");
                let mut cause = error.source();
                while let Some(error) = cause {
                    text += &format!(": {error}");
                    cause = error.source();
                }
                say(&text);
            }
        }
        line.clear();
    }
}

#[derive(Default)]
struct Part {
    producer: Option<SharedProducer<Step>>,
    consumer: Option<SharedConsumer<Step>>,
    held: BTreeMap<i64, HeldEvent<Step>>,
    files: Vec<std::fs::File>,
}

impl Part {
    fn play(&mut self, command: &str) -> Result<String, Box<dyn Error>> {
        let words: Vec<_> = command.split(' ').collect();
        let strategy = |word: Option<&&str>| word.map_or(Ok(WaitStrategy::default()), |word| word.parse());
        Ok(match words[..] {
            ["produce", at, size, ..] => {
                let builder = build_shared_single_producer::<Step>(place(at), size.parse()?);
                let producer = builder.with_wait_strategy(strategy(words.get(3))?).build_producer(step)?;
                format!("{:?}", self.producer.insert(producer).origin())
            }
            ["attach", at, id, ..] => {
                let builder = attach_shared_consumer::<Step>(place(at), 0).with_wait_strategy(strategy(words.get(3))?);
                let builder = if id == "-" { builder } else { builder.with_consumer_id(id) };
                let consumer = self.consumer.insert(builder.build_consumer()?);
                format!("{} {:?}", consumer.has_rejoined(), consumer.wait_strategy())
            }
            ["publish", count] => {
                let producer = self.producer.as_mut().ok_or("no producer")?;
                for _ in 0..count.parse::<u64>()? {
                    let next = producer.last_published_sequence() + 1;
                    producer.publish(|slot| slot.sequence = next as u64)?;
                }
                producer.last_published_sequence().to_string()
            }
            ["consume", count] => {
                let consumer = self.consumer.as_mut().ok_or("no consumer")?;
                for _ in 0..count.parse::<u64>()? {
                    check(&consumer.consume_next_leased()?);
                }
                consumer.current_sequence().to_string()
            }
            // To the end of the ring, whatever the reason for the end is.
            ["consume"] => {
                let consumer = self.consumer.as_mut().ok_or("no consumer")?;
                loop {
                    match consumer.wait_until_available(None) {
                        Ok(()) => check(&consumer.consume_next_leased()?),
                        Err(ConsumeError::Closed) => break format!("closed {}", consumer.current_sequence()),
                        Err(end) => return Err(end.into()),
                    }
                }
            }
            // It counts in the file of that name.
            ["count", into] => {
                let consumer = self.consumer.as_mut().ok_or("no consumer")?;
                consumer.attach_counters(&CountersFile::open(place(into))?);
                String::new()
            }
            ["manage", id] => {
                let producer = self.producer.as_mut().ok_or("no producer")?;
                producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new([id]))?;
                String::new()
            }
            ["answer", rounds] => {
                let (producer, consumer) = self.both()?;
                for _ in 0..rounds.parse::<u64>()? {
                    let question = consumer.consume_next_leased()?.sequence;
                    producer.publish(|slot| slot.sequence = question)?;
                }
                String::new()
            }
            ["lost-wakeups"] => {
                let (producer, consumer) = self.both()?;
                (lost_wakeups(&producer.ring_counters()) + lost_wakeups(&consumer.ring_counters())).to_string()
            }
            ["hold"] => {
                let lease = self.consumer.as_mut().ok_or("no consumer")?.consume_next_leased()?;
                say(&format!("= done {}", lease.sequence()));
                wait_to_be_killed();
            }
            // Takes the next event and holds it.
            ["take"] => {
                let consumer = self.consumer.as_mut().ok_or("no consumer")?;
                let event = consumer.next_held(Patience::Endless)?.ok_or("there is none")?;
                let number = event.sequence();
                self.held.insert(number, event);
                number.to_string()
            }
            ["release", number] => {
                self.held.remove(&number.parse()?).ok_or("it is not held")?.release();
                String::new()
            }
            ["give-back", number] => {
                drop(self.held.remove(&number.parse()?).ok_or("it is not held")?);
                String::new()
            }
            ["read"] => {
                let consumer = self.consumer.as_mut().ok_or("no consumer")?;
                check(&consumer.consume_next_leased()?);
                String::new()
            }
            ["fork"] => {
                let child = testkit::fork::fork_then(|| {
                    // Lives until the test closes the pipe, also if its parent is killed. It must not read: the
                    // commands are for its parent.
                    let stdin = std::io::stdin();
                    let mut hang_up = [PollFd::new(&stdin, PollFlags::empty())];
                    let waits = rustix::process::set_parent_process_death_signal(None)
                        .and_then(|()| rustix::event::poll(&mut hang_up, None));
                    i32::from(waits.is_err())
                });
                let pid = child.pid();
                // The guard would kill the child.
                std::mem::forget(child);
                pid.to_string()
            }
            ["become-nobody"] => {
                let nobody = rustix::process::Uid::from_raw(65534);
                // Only this thread, which is the one that opens files.
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody)?;
                String::new()
            }
            // The consumer is dropped by a panic, and the process lives on.
            ["panic"] => {
                let consumer = self.consumer.take().ok_or("no consumer")?;
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _consumer = consumer;
                    std::panic::resume_unwind(Box::new(()))
                }));
                assert!(panicked.is_err());
                String::new()
            }
            ["evict", id] => self.producer.as_mut().ok_or("no producer")?.evict_consumer(id)?.to_string(),
            // Uses up every descriptor that this process may have.
            ["exhaust"] => {
                let limit = Rlimit { current: Some(100), maximum: Some(100) };
                rustix::process::setrlimit(Resource::Nofile, limit)?;
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    self.files.push(file);
                }
                String::new()
            }
            // Closes descriptors that other code uses, as a program does when it becomes a daemon.
            ["close-descriptors"] => {
                testkit::close_descriptors_above(2);
                String::new()
            }
            ["drop"] => {
                (self.producer, self.consumer) = (None, None);
                String::new()
            }
            _ => return Err(format!("there is no such command: {command}").into()),
        })
    }

    fn both(&mut self) -> Result<(&mut SharedProducer<Step>, &mut SharedConsumer<Step>), &'static str> {
        Ok((self.producer.as_mut().ok_or("no producer")?, self.consumer.as_mut().ok_or("no consumer")?))
    }
}

fn check(event: &disruptor_mp::Lease<'_, Step>) {
    assert_eq!(event.sequence as i64, event.sequence(), "an event under the number of another");
}

/// Lost wake-ups of both ends.
pub(crate) fn lost_wakeups(counters: &CountersFile) -> u64 {
    let is_lost = |id| [ids::PRODUCER_LOST_WAKEUPS, ids::CONSUMER_LOST_WAKEUPS].contains(&id);
    counters.snapshot().iter().filter(|counter| is_lost(counter.id)).map(|counter| counter.value).sum()
}
