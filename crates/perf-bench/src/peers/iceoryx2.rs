//! iceoryx2 0.10.0: publish and subscribe through samples in shared memory.
//!
//! Overflow is off and the publisher retries until its message is delivered, so nothing is lost. The subscriber's
//! buffer holds as many messages as those of all others, and the receiver polls. A message is a slice of bytes, aligned
//! to a cache line, which the sender copies to the place where it is read. Its files are in the measurement's own
//! directory and have the measurement's own names.

use std::fmt::Debug;

use iceoryx2::node::Node;
use iceoryx2::port::{publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::{
    Alignment, BackpressureStrategy, Config, FileName, NodeBuilder, Path, SemanticString, SignalHandlingMode, ipc,
};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;

use crate::messages::carrier::{self, Carrier, Link};
use crate::side::Stop;

/// The carrier.
pub(crate) enum PublishSubscribe {}

impl Carrier for PublishSubscribe {
    const NAME: &'static str = "iceoryx2 0.10.0";

    type Sender<'s> = SampleSender;
    type Receiver<'s> = SampleReceiver;

    fn create(link: &Link<'_>) -> Result<SampleSender, Stop> {
        let (node, service) = service(link)?;
        let publisher = service
            .publisher_builder()
            .initial_max_slice_len(link.message_bytes())
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(unavailable)?;
        Ok(SampleSender { publisher, _service: service, _node: node })
    }

    fn attach(link: &Link<'_>) -> Result<SampleReceiver, Stop> {
        let (node, service) = service(link)?;
        let subscriber = service.subscriber_builder().buffer_size(link.depth()).create().map_err(unavailable)?;
        Ok(SampleReceiver { subscriber, _service: service, _node: node })
    }
}

type Service = PortFactory<ipc::Service, [u8], ()>;

/// How messages are aligned: to a cache line, as others' are.
const ALIGNMENT: usize = 64;

/// The one service of a link; the end that comes first creates it.
fn service(link: &Link<'_>) -> Result<(Node<ipc::Service>, Service), Stop> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(format!("{}-", link.name()).as_bytes()).map_err(unavailable)?;
    let folder = link.folder()?;
    config.global.set_root_path(&Path::new(folder.as_os_str().as_encoded_bytes()).map_err(unavailable)?);
    let node = NodeBuilder::new()
        .config(&config)
        // The parent ends its roles itself.
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()
        .map_err(unavailable)?;
    let service = node
        .service_builder(&link.name().as_str().try_into().map_err(unavailable)?)
        .publish_subscribe::<[u8]>()
        .payload_alignment(Alignment::new(ALIGNMENT).ok_or_else(|| unavailable("there is no such alignment"))?)
        .enable_safe_overflow(false)
        .history_size(0)
        .subscriber_max_buffer_size(link.depth())
        .max_publishers(1)
        .max_subscribers(link.receivers())
        .open_or_create()
        .map_err(unavailable)?;
    Ok((node, service))
}

fn unavailable(error: impl Debug) -> Stop {
    Stop::Unavailable(format!("{error:?}"))
}

fn failed(error: impl Debug) -> Stop {
    Stop::Failed(format!("{error:?}"))
}

/// The end that publishes. Fields are dropped in this order: the port before its service, that before its node.
pub(crate) struct SampleSender {
    publisher: Publisher<ipc::Service, [u8], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

impl carrier::Sender for SampleSender {
    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        let sample = self.publisher.loan_slice_uninit(message.len()).map_err(failed)?;
        match sample.write_from_slice(message).send().map_err(failed)? {
            0 => Err(Stop::Failed("there was no subscriber to send to".into())),
            _ => Ok(()),
        }
    }
}

/// The end that subscribes.
pub(crate) struct SampleReceiver {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

impl carrier::Receiver for SampleReceiver {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        let Some(sample) = self.subscriber.receive().map_err(failed)? else { return Ok(false) };
        read(sample.payload());
        Ok(true)
    }
}
