//! `{error}` says everything that a person needs at night, each thing once: what happened, to which ring, and why.

use crate::stage::{TempDir, in_ms, watchdog};
use disruptor_mp::counters::CountersFile;
use disruptor_mp::segment::{CreateError, GcError, OpenError};
use disruptor_mp::{
    ConsumeError, CoordinationMode, CreateOptions, MultiProcessError, Patience, Place, PublishError, RecordError,
    RequiredConsumerLivenessConfig, SharedConsumer, SharedCursor, SharedCursorTrait, SharedDisruptorBuilder,
    SharedProducer, StartAt, gc, plan,
};
use rustix::io::Errno;
use std::error::Error;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use testkit::errors::assert_says;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say};
use testkit::{skip, test_name};

type Builder = SharedDisruptorBuilder<u64>;

/// What to do if a segment is of another kind.
const ANOTHER: &str = "choose another name, or attach to it as what it is";

/// What to do if there is no ring.
const START_IT: &str = "start its producer first, or wait for it with `attach_when_ready`";

#[track_caller]
fn says<T, E: Error + 'static>(answer: Result<T, E>, text: &str) {
    match answer {
        Ok(_) => panic!("no error"),
        Err(error) => assert_says(&error, text),
    }
}

fn build(builder: Builder) -> Result<SharedProducer<u64>, MultiProcessError> {
    builder.build_producer(|| 0)
}

#[test]
fn an_error_of_building_names_the_ring_and_the_cause_once() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let name = names.name("r");
    let ring = || Builder::new(&name, 8);
    says(ring().build_consumer(), &format!("there is no ring at shm:{name}; {START_IT}"));
    let mut producer = build(ring().with_content_tag("steps/1").enable_discovery(1)).unwrap();
    let pid = std::process::id().to_string();
    says(
        build(ring()),
        &format!(
            "shm:{name} is in use by producer process {pid}, which is …; end that process first, or choose another name"
        ),
    );
    says(
        build(ring().create()),
        &format!("shm:{name} exists already; choose another name, or remove it (gc) if no process uses it"),
    );
    says(
        Builder::new(&name, 16).build_consumer(),
        &format!(
            "shm:{name} has 8 slots, and this program asks for 16; give both programs the same size, or give \
             consumers none (0)"
        ),
    );
    says(
        SharedDisruptorBuilder::<i64>::new(&name, 8).build_consumer(),
        &format!(
            "shm:{name} holds other events: the event is `i64` here, but `u64` there; give both programs the same type"
        ),
    );
    says(
        ring().with_content_tag("steps/2").build_consumer(),
        &format!(
            "shm:{name} carries `steps/1`, and this program expects `steps/2`; give both programs the same content tag"
        ),
    );
    says(
        ring().with_content_tag("").build_consumer(),
        "\"\" cannot be a content tag: it needs 1 to 256 bytes and no character that cannot be seen",
    );
    says(
        ring().with_consumer_id("").build_consumer(),
        "consumer id of 0 bytes: an id has 1 to 128 bytes and no character that cannot be seen, such as control \
         characters and marks of direction",
    );
    for number in 0..20 {
        producer.publish(|slot| *slot = number).unwrap();
    }
    says(
        ring().start_at(StartAt::Beginning).build_consumer(),
        &format!(
            "shm:{name} could not be joined: the ring no longer holds its first event; the oldest that is certain to \
             stay is 12: begin with it (`StartAt::Oldest`)"
        ),
    );
    let _consumer = ring().with_consumer_id("w").build_consumer().unwrap();
    says(
        ring().with_consumer_id("w").build_consumer(),
        &format!(
            "shm:{name} could not be joined: consumer `w` is in use by process {pid}; choose another id, or end that process"
        ),
    );
    says(
        build(Builder::new(names.name("a"), 7)),
        "a ring has a power of two of slots, 1 to 1099511627776, and 7 were asked for; the next that is possible is 8",
    );
    says(
        build(Builder::new(names.name("a"), 8).enable_discovery(5000)),
        "a ring has entries for 1 to 1024 consumers; 5000 were asked for",
    );
    says(
        build(Builder::new(names.name("a"), 1 << 40)),
        &format!(
            "no space for shm:{}: 17592186150912 bytes wanted, and the file system has … free; make the file system \
             larger (/dev/shm in Docker: --shm-size, in Kubernetes: sizeLimit of an emptyDir with medium Memory), make \
             the ring smaller, or use a file in a directory that has the room",
            names.name("a")
        ),
    );
    says(
        plan::<[u8; 1 << 24]>(1 << 40, 1),
        "the segment would need 18446744073709551615 bytes, at most 70368744177664 are possible; make the ring smaller",
    );
    let nothing_held = disruptor_mp::CoordinationMode::BufferUntilConsumers { max_buffer: 0 };
    let builder = SharedDisruptorBuilder::records(names.name("a"), 1 << 46).with_coordination(nothing_held);
    says(
        builder.build_record_producer(),
        "a ring of records has 1 to 35184372088832 bytes, and 70368744177664 were asked for; the default size is \
         8388608",
    );
    let late = ring().wait_for_consumers(1, Duration::from_millis(1));
    says(
        build(Builder::new(names.name("b"), 8).with_coordination_timeout(Duration::ZERO)),
        &format!("0 of 1 consumers joined shm:{} within …; start the others, or wait longer", names.name("b")),
    );
    says(
        build(late),
        &format!(
            "shm:{name} is in use by producer process {pid}, which is …; end that process first, or choose another name"
        ),
    );
    let buffer = CoordinationMode::BufferUntilConsumers { max_buffer: 9 };
    says(
        build(Builder::new(names.name("c"), 8).with_coordination(buffer)),
        "a start-up buffer holds 1 to 8 slots in a ring of 8, and 9 were asked for",
    );
    says(
        build(Builder::new("a/b", 8)),
        "`a/b` cannot be a segment's name: it contains a `/`; use a path (`Path`, `PathBuf`) for a file",
    );
    says(
        build(Builder::new(names.name("d"), 8).take_over()),
        &format!("there is no ring at shm:{}; {START_IT}", names.name("d")),
    );
}

#[test]
fn an_error_about_what_stands_in_the_way_says_what_it_is() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let at = |name: &str| dir.path().join(name);
    let place = dir.path().display();
    let attach = |path: &Path| Builder::new(path, 8).build_consumer();
    std::fs::write(at("short"), b"short").unwrap();
    says(
        attach(&at("short")),
        &format!(
            "{place}/short is too short to be a segment: 5 bytes; remove it if no program needs it, or choose another name"
        ),
    );
    std::fs::write(at("other"), vec![7; 8192]).unwrap();
    says(
        attach(&at("other")),
        &format!("{place}/other is not a segment: its first bytes are not those of one; choose another name"),
    );
    std::fs::create_dir(at("directory")).unwrap();
    says(
        attach(&at("directory")),
        &format!(
            "{place}/directory is a directory; segments are regular files, and symlinks are not followed: choose another name"
        ),
    );
    let missing = at("no").join("such").join("directory");
    says(
        build(Builder::new(&missing, 8).with_create_options(CreateOptions::default().make_directories(false))),
        &format!(
            "no directory for {place}/no/such/directory: {place}/no/such does not exist; make that directory, or let \
             it be made (`CreateOptions::make_directories`)"
        ),
    );
    assert!(!at("no").exists());
    says(
        build(Builder::new(at("short").join("ring"), 8)),
        &format!("no directory for {place}/short/ring: {place}/short is not a directory; choose another place"),
    );
    says(gc("a/b"), "`a/b` cannot be a segment's name: it contains a `/`; use a path (`Path`, `PathBuf`) for a file");
}

/// Errors of the system, which a test cannot cause at will.
#[test]
fn an_error_of_the_system_is_in_the_text() {
    let denied = || io::Error::from_raw_os_error(13);
    let place = || "shm:ring".to_owned();
    let open = || OpenError::PermissionDenied { place: place(), call: "open", permissions: None, source: denied() };
    let create = || CreateError::PermissionDenied { place: place(), call: "open", directory: None, source: denied() };
    assert_says(
        &open(),
        "not allowed to open shm:ring: open: Permission denied (os error 13); run both processes as one user, or \
         create it for a group that both are in (`CreateOptions::group`)",
    );
    assert_says(
        &create(),
        "not allowed to create shm:ring: open: Permission denied (os error 13); create it in a directory that this \
         process may write to",
    );
    assert_says(
        &MultiProcessError::PermissionDenied { place: place(), source: Box::new(open()) },
        "not allowed to open shm:ring: open: Permission denied (os error 13); run both processes as one user, or \
         create it for a group that both are in (`CreateOptions::group`)",
    );
    assert_says(
        &MultiProcessError::PermissionDenied { place: place(), source: Box::new(create()) },
        "not allowed to create shm:ring: open: Permission denied (os error 13); create it in a directory that this \
         process may write to",
    );
    let read_only = io::Error::from_raw_os_error(rustix::io::Errno::ROFS.raw_os_error());
    assert_says(
        &OpenError::Os { place: place(), call: "open", source: read_only },
        "open failed while opening shm:ring: Read-only file system (os error 30); mount it for writing: a consumer writes how far it has \
         read",
    );
    let create = CreateError::Os { place: place(), call: "fallocate", source: denied() };
    assert_says(
        &MultiProcessError::Create { place: place(), source: create },
        "fallocate failed while creating shm:ring: Permission denied (os error 13)",
    );
    let open = OpenError::Os { place: place(), call: "mmap", source: denied() };
    assert_says(
        &MultiProcessError::Unusable { place: place(), source: open },
        "mmap failed while opening shm:ring: Permission denied (os error 13)",
    );
    let remove = GcError::Os { place: place(), call: "unlink", source: denied() };
    assert_says(
        &MultiProcessError::CleanUp { place: place(), source: remove },
        "what is in the place of a new ring could not be removed: unlink failed while removing shm:ring: \
         Permission denied (os error 13)",
    );
    let remove = GcError::PermissionDenied { place: place(), call: "unlink", permissions: None, source: denied() };
    assert_says(
        &MultiProcessError::CleanUp { place: place(), source: remove },
        "what is in the place of a new ring could not be removed: not allowed to remove shm:ring: unlink: \
         Permission denied (os error 13); let its owner remove it, or run as a user of its group",
    );
    assert_says(
        &MultiProcessError::Os { place: place(), call: "sched_setaffinity", source: denied() },
        "sched_setaffinity failed for shm:ring: Permission denied (os error 13)",
    );
    let join = denied().into();
    assert_says(
        &MultiProcessError::Join { place: place(), source: join },
        "shm:ring could not be joined: locking an entry of the consumer table failed: Permission denied (os error 13)",
    );
    let (wanted_bytes, available_bytes) = (4096, 100);
    let full = CreateError::NoSpace { place: place(), wanted_bytes, available_bytes, source: denied() };
    let full = MultiProcessError::NoSpace { place: place(), wanted_bytes, available_bytes, source: full };
    assert_says(
        &full,
        "no space for shm:ring: 4096 bytes wanted, and the file system has 100 free; make the file system larger \
         (/dev/shm in Docker: --shm-size, in Kubernetes: sizeLimit of an emptyDir with medium Memory), make the ring \
         smaller, or use a file in a directory that has the room",
    );
    // What the system says about a quota: EDQUOT, and for some file systems ENOSPC.
    for (errno, is_certain) in [(Errno::DQUOT, ""), (Errno::NOSPC, "probably ")] {
        let source = errno.into();
        let full = CreateError::NoSpace { place: place(), wanted_bytes, available_bytes: 1 << 30, source };
        assert_eq!(
            full.to_string(),
            format!(
                "no space for shm:ring: 4096 bytes wanted, and the file system has 1073741824 free: a quota of the \
                 user, the group or the directory is {is_certain}reached; raise the quota, make the ring smaller, or \
                 use a file in another directory"
            )
        );
    }
}

#[test]
fn an_error_of_a_running_ring_names_the_reason_once() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let (name, pid) = (names.name("r"), std::process::id());
    let mut producer: SharedProducer<u64> = build(Builder::new(names.name("r"), 4)).unwrap();
    let mut consumer = SharedConsumer::<u64>::attach(names.name("r"), 4, "w").unwrap();
    says(consumer.consume_next_leased_deadline(in_ms(1)), "no event was handed out within …");
    says(
        producer.publish_managed(|_| ()),
        "required-consumer liveness is not enabled on this producer; call `enable_required_consumer_liveness` first",
    );
    producer
        .enable_required_consumer_liveness(
            RequiredConsumerLivenessConfig::new(["absent"]).with_startup_wait_timeout(Duration::ZERO),
        )
        .unwrap();
    says(producer.publish_managed(|_| ()), "required consumers did not join: absent; start them, or wait longer");
    for _ in 0..4 {
        producer.publish(|_| ()).unwrap();
    }
    says(producer.try_publish(|_| ()), "the ring is full");
    says(producer.try_publish_batch(2, |_, _| ()), "2 slots are missing for the batch");
    says(
        producer.publish_batch(5, |_, _| ()),
        "a batch of 5 events does not fit into a ring of 4; publish it in parts, or make the ring larger",
    );
    says(
        producer.publish_deadline(in_ms(1), |_| ()),
        &format!("timed out: ring shm:{name}: producer waits for space since …; w pid {pid} is …; gives up"),
    );
    says(
        producer.publish_with(Patience::Until(in_ms(1)), |_| ()),
        &format!("timed out: ring shm:{name}: producer waits for space since …; w pid {pid} is …; gives up"),
    );
    says(SharedCursor::attach(names.name("r")).unwrap().wait_for(9, in_ms(1)), "timed out after … at sequence 3");
    drop(producer);
    assert_eq!(consumer.process_available(|_, _| ()), 4);
    says(consumer.consume_next_leased(), "the ring is closed");
    assert!(matches!(consumer.consume_next_leased(), Err(ConsumeError::Closed)));
}

#[test]
fn an_error_of_records_names_the_reason_once() {
    let _watchdog = watchdog();
    let (place, pid) = (Place::heap(), std::process::id());
    let mut producer = SharedDisruptorBuilder::records(&place, 1 << 14).build_record_producer().unwrap();
    let _consumer = SharedDisruptorBuilder::records(&place, 0).with_consumer_id("w").build_record_consumer().unwrap();
    says(
        producer.publish(&vec![0; 1 << 15], 0, 0, Patience::Now),
        "a record of 32768 bytes does not fit into this ring, which holds up to 16304; create it with 65536 bytes",
    );
    while producer.publish(&[0; 1000], 0, 0, Patience::Now).is_ok() {}
    says(producer.publish(&[0; 1000], 0, 0, Patience::Now), "the ring is full");
    let late = producer.publish(&[0; 1000], 0, 0, Patience::Until(in_ms(1)));
    assert!(matches!(&late, Err(RecordError::NoRoom(disruptor_mp::NoRoom::Publish(PublishError::TimedOut { .. })))));
    says(late, &format!("timed out: ring heap: producer waits for space since …; w pid {pid} is …; gives up"));
}

/// Prints the error of a victim, or that it got none.
fn tell<T>(answer: Result<T, impl ToString>) {
    say(&format!("SAID {}", answer.map_or_else(|error| error.to_string(), |_| "nothing".to_owned())));
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_is_refused() {
    if !is_victim() {
        return;
    }
    let place = std::env::var_os(PLACE).map_or_else(Place::heap, |path| Place::from(Path::new(&path)));
    let ring = Builder::new(place.clone(), 8);
    match role().unwrap().as_str() {
        "produces" => tell(build(ring)),
        "gives to a group" => tell(build(ring.with_create_options(CreateOptions::default().group(0)))),
        "consumes" => tell(ring.build_consumer()),
        "consumes beside a producer" => {
            let _producer = build(ring.clone()).unwrap();
            tell(ring.build_consumer());
        }
        "handles" => {
            let _producer = build(ring.clone()).unwrap();
            tell(ring.handle_events_with(|_, _, _| ()).map(|handler| handler.shutdown_and_join()));
        }
        "requires consumers" => {
            let mut producer = build(ring).unwrap();
            tell(producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["w"])));
        }
        "removes" => tell(gc(place)),
        other => unreachable!("there is no part called {other}"),
    }
}

/// The variable with the file of a victim's ring; without it the ring is on the heap.
const PLACE: &str = "MYELON_TEST_PLACE";

/// What a victim with this role prints.
fn said(victim: Respawn) -> String {
    victim.spawn().wait_line("SAID ").trim_start_matches("SAID ").to_owned()
}

#[test]
fn the_error_of_every_environment_variable_names_it_and_its_value() {
    let _watchdog = watchdog();
    let set = |role: &str, variable: &str, value: &str| {
        said(Respawn::test(test_name!(victim_that_is_refused)).role(role).env(variable, value))
    };
    assert_eq!(
        set("produces", "MYELON_WAIT", "spin"),
        "MYELON_WAIT: `spin` is not a wait strategy: use busy-spin, spin-hint, yield:SPINS, sleep:MICROSECONDS, \
         block or adaptive"
    );
    for (role, variable) in [
        ("produces", "MYELON_PROCESS_CORE"),
        ("produces", "MYELON_PRODUCER_CORE"),
        ("consumes beside a producer", "MYELON_CONSUMER_CORE"),
        ("handles", "MYELON_AUTO_CONSUMER_CORE"),
        ("requires consumers", "MYELON_SHUTDOWN_GRACE_MS"),
    ] {
        for value in ["soon", "", "-1", "99999999999999999999"] {
            assert_eq!(
                set(role, variable, value),
                format!("{variable} is set to `{value}`, which is not a number it can take: use a whole number from 0")
            );
        }
        if variable.ends_with("CORE") {
            let core = set(role, variable, "99999");
            let text = format!(
                "{variable}: a thread cannot be pinned to core 99999: Invalid argument (os error 22); this process \
                 may use core"
            );
            assert!(core.starts_with(&text), "{core}");
        }
        assert_eq!(set(role, variable, "0"), "nothing", "{variable}");
    }
}

#[test]
fn a_core_that_the_program_asks_for_is_named_with_the_function_that_did() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let ring = || Builder::new(place.clone(), 8);
    let text = |asked_by: &str| {
        format!(
            "{asked_by}: a thread cannot be pinned to core 99999: Invalid argument (os error 22); this process may \
             use core"
        )
    };
    let refused = build(ring().with_process_core(99_999)).map(drop).unwrap_err().to_string();
    assert!(refused.starts_with(&text("with_process_core")), "{refused}");
    let _producer = build(ring()).unwrap();
    let refused = ring().with_consumer_core(99_999).handle_events_with(|_, _, _| ()).unwrap_err().to_string();
    assert!(refused.starts_with(&text("with_consumer_core")), "{refused}");
}

#[test]
fn a_process_that_may_not_use_a_ring_is_told_who_may_and_what_to_do() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let open_to_all = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    open_to_all(0o755);
    let path = dir.path().join("ring");
    let _producer = build(Builder::new(&path, 8)).unwrap();
    let stranger = |role: &str, path: &Path| {
        said(Respawn::test(test_name!(victim_that_is_refused)).role(role).env(PLACE, path).as_user(65534))
    };
    let (place, who) = (path.display(), "this process is user 65534, group 65534");
    for role in ["consumes", "produces"] {
        assert_eq!(
            stranger(role, &path),
            format!(
                "not allowed to open {place}: open: Permission denied (os error 13); it has mode 0600, user 0, group 0, and {who}; run \
                 both processes as one user, or create it for a group that both are in (`CreateOptions::group`); if no process uses it any \
                 more, let its owner or root remove it (gc)"
            )
        );
    }
    let shared = dir.path().join("shared");
    let _producer_of_group =
        build(Builder::new(&shared, 8).with_create_options(CreateOptions::default().group(4711))).unwrap();
    let text = stranger("consumes", &shared);
    assert!(text.contains("it has mode 0660, user 0, group 4711, "), "{text}");
    assert!(
        text.ends_with(
            "; run this process as user 0, or as a member of group 4711; if no process uses it any more, let its owner or root remove it \
             (gc)"
        ),
        "{text}"
    );
    assert_eq!(
        stranger("removes", &path),
        format!(
            "not allowed to remove {place}: open: Permission denied (os error 13); it has mode 0600, user 0, group 0, and {who}; let its \
             owner remove it, or run as a user of its group"
        )
    );
    let beside = dir.path().join("beside");
    let text = stranger("produces", &beside);
    assert!(text.starts_with(&format!("not allowed to create {}: ", beside.display())), "{text}");
    assert!(
        text.ends_with(&format!(
            "Permission denied (os error 13); its directory has mode 0755, user 0, group 0, and {who}; create it in a directory that this \
             process may write to"
        )),
        "{text}"
    );
    open_to_all(0o777);
    assert_eq!(
        stranger("gives to a group", &beside),
        format!(
            "not allowed to give {} to group 0: Operation not permitted (os error 1); name a group that this process \
             is in",
            beside.display()
        )
    );
}

#[test]
fn a_ring_of_another_kind_is_named_as_what_was_built() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let [events, records, counters] = ["e", "r", "c"].map(|name| names.name(name));
    let text = |answer: MultiProcessError| answer.to_string();
    let _events = build(Builder::new(&events, 8)).unwrap();
    let records_of = |name: &str| SharedDisruptorBuilder::records_at(name);
    assert_eq!(
        text(records_of(&events).build_record_consumer().map(drop).unwrap_err()),
        format!(
            "shm:{events} is a ring of events or frames of 8 bytes each, and this program wants a ring of records; \
             {ANOTHER}"
        )
    );
    let _records = SharedDisruptorBuilder::records(&records, 4096).build_record_producer().unwrap();
    for refused in
        [Builder::new(&records, 8).build_consumer().map(drop), Builder::new(&records, 8).build_tap().map(drop)]
    {
        assert_eq!(
            text(refused.unwrap_err()),
            format!("shm:{records} is a ring of records, and this program wants a ring of events or frames; {ANOTHER}")
        );
    }
    let _counters = CountersFile::create(&counters, 8).unwrap();
    assert_eq!(
        text(Builder::new(&counters, 8).build_consumer().map(drop).unwrap_err()),
        format!("shm:{counters} is a counters file, and this program wants a ring of events or frames; {ANOTHER}")
    );
    let abi = disruptor_mp::segment::ABI;
    assert_eq!(
        text(build(Builder::new(&counters, 8)).map(drop).unwrap_err()),
        format!(
            "shm:{counters} is in use and cannot be used by this program: it is a counters file, layout version {abi}; this program needs a ring \
             of events or frames, layout version {abi}; end the processes that use it, or choose another name"
        )
    );
}
