//! Two agents over a ring, each on a thread of its own: one publishes when there is room, the other one sums up what
//! comes. Both sleep at their doorbells when there is nothing to do. A program to copy where a process has work of
//! several kinds, each of which can fail, restart and end by itself.
//!
//! ```text
//! cargo run --release --example agent_pair
//! ```
//!
//! ```text
//! the sum of 10000 numbers is 49995000
//! asker: all agents have finished
//! summer: all agents have finished
//! ```
//!
//! # Where to look
//!
//! - **Life.** `on_start` opens an end of the ring, `on_close` drops it: once for each start, also after a panic. The
//!   summer is started first, and may find no ring. Then it has failed, and is started again after a short time.
//! - **Sleep.** `before_park` arms the doorbell, which looks at the ring once more; `doorbells` says which descriptor ends
//!   the sleep. So no event is missed, and an idle agent costs nothing.
//! - **Pieces.** `do_work` does what can be done now, at most `PIECE` at a time, and never waits. Both ends of the ring
//!   are asked why nothing comes: a ring that was closed is the end of the work, a dead producer is an error.
//! - **The same agents elsewhere.** `Group::add_to` runs them in an event loop beside sockets and timers.
#![forbid(unsafe_code)]

use disruptor_mp::{
    ConsumeError, CoordinationMode, Doorbell, Patience, RoomDoorbell, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer,
};
use myelon_runtime::agents::{Agent, AgentError, Doorbells, Group, ParkAtDoorbells, Policy, Restart, Work};
use std::time::{Duration, Instant};

const NUMBERS: u64 = 10_000;

const SLOTS: usize = 64;

/// How much an agent does in one cycle.
const PIECE: usize = 32;

/// Nothing here takes longer, unless an agent hangs.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("agents{}", std::process::id());
    let restart = Restart::new(Duration::from_millis(1), Duration::from_millis(100)).limit(20);

    let summer = Summer { ring: name.clone(), end: None, sum: 0 };
    let mut summer = Group::new("summer")
        .agent_with(summer, restart)
        .on_failure(|failure| eprintln!("{failure}"))
        .spawn(ParkAtDoorbells)?;

    let asker = Asker { ring: name, end: None, next: 0 };
    // A second ring would not have the numbers of the first one, so it is not started again.
    let mut asker = Group::new("asker")
        .agent_with(asker, Policy::EndGroup)
        .on_failure(|failure| eprintln!("{failure}"))
        .spawn(ParkAtDoorbells)?;

    let ends = [asker.wait(PATIENCE)?, summer.wait(PATIENCE)?];
    for (runner, end) in [&asker, &summer].into_iter().zip(ends) {
        println!("{}: {end}", runner.handle().name());
    }
    Ok(())
}

/// Publishes numbers.
struct Asker {
    ring: String,
    end: Option<(SharedProducer<u64>, RoomDoorbell)>,
    next: u64,
}

impl Agent for Asker {
    fn name(&self) -> &str {
        "asker"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        // The first numbers stay until the summer has come.
        let first = CoordinationMode::BufferUntilConsumers { max_buffer: SLOTS };
        let builder = SharedDisruptorBuilder::new(&*self.ring, SLOTS).with_coordination(first);
        let producer = builder.build_producer(|| 0)?;
        let room = producer.room_doorbell()?;
        self.end = Some((producer, room));
        Ok(())
    }

    fn do_work(&mut self, _now: Instant) -> Result<Work, AgentError> {
        let (producer, _) = self.end.as_mut().ok_or("it is not started")?;
        if self.next == NUMBERS {
            return Ok(Work::Finished);
        }
        for done in 0..PIECE {
            match producer.publish_with(Patience::Now, |slot| *slot = self.next) {
                Ok(_) => self.next += 1,
                Err(no_room) if no_room.is_full() => {
                    if done == 0 {
                        producer.check_room()?;
                    }
                    return Ok(Work::Count(done));
                }
                Err(no_room) => return Err(no_room.into()),
            }
            if self.next == NUMBERS {
                return Ok(Work::Count(done + 1));
            }
        }
        Ok(Work::Count(PIECE))
    }

    fn on_close(&mut self) {
        // Closes the ring.
        self.end = None;
    }

    fn before_park(&mut self) -> bool {
        self.end.as_mut().is_some_and(|(producer, room)| room.arm(producer))
    }

    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        if let Some((_, room)) = &self.end {
            doorbells.add(room);
        }
    }
}

/// Sums up the numbers.
struct Summer {
    ring: String,
    end: Option<(SharedConsumer<u64>, Doorbell)>,
    sum: u64,
}

impl Agent for Summer {
    fn name(&self) -> &str {
        "summer"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        let consumer = SharedConsumer::attach(&*self.ring, SLOTS, "summer")?;
        let doorbell = consumer.doorbell()?;
        self.end = Some((consumer, doorbell));
        Ok(())
    }

    fn do_work(&mut self, _now: Instant) -> Result<Work, AgentError> {
        let (consumer, _) = self.end.as_mut().ok_or("it is not started")?;
        let done = consumer.process_available(|number, _| self.sum += *number);
        if done > 0 {
            return Ok(Work::Count(done));
        }
        match consumer.check_producer() {
            Ok(()) => Ok(Work::NONE),
            Err(ConsumeError::Closed) => {
                println!("the sum of {NUMBERS} numbers is {}", self.sum);
                Ok(Work::Finished)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn on_close(&mut self) {
        self.end = None;
    }

    fn before_park(&mut self) -> bool {
        self.end.as_mut().is_some_and(|(consumer, doorbell)| doorbell.arm(consumer))
    }

    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        if let Some((_, doorbell)) = &self.end {
            doorbells.add(doorbell);
        }
    }
}
