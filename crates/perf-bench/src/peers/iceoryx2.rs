//! iceoryx2 0.10.0: publish and subscribe through samples in shared memory.
//!
//! **Lives here:** [`PublishSubscribe`]. **Builds on:** its public interface, without its console logger.
//! **May touch it:** `messages`.
//!
//! Overflow is off and the publisher retries until its message is delivered, so nothing is lost. The subscriber's buffer
//! holds as many messages as everybody's, and the receiver polls. A message is a slice of words, which the sender writes
//! where they will be read: bytes would have to be zeroed first to be written in place without `unsafe` code. Its files
//! lie in the measurement's own directory and under the measurement's own names.

use std::fmt::Debug;

use iceoryx2::node::Node;
use iceoryx2::port::{publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::{
    BackpressureStrategy, Config, FileName, NodeBuilder, Path, SemanticString, SignalHandlingMode, ipc,
};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use zerocopy::IntoBytes;

use crate::messages::carrier::{self, Carrier, Link};
use crate::side::Stop;
use crate::workload::payload::Payload;

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
            .initial_max_slice_len(link.message_bytes() / size_of::<u64>())
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

type Service = PortFactory<ipc::Service, [u64], ()>;

/// The one service of a link, which whoever comes first creates.
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
        .publish_subscribe::<[u64]>()
        .enable_safe_overflow(false)
        .history_size(0)
        .subscriber_max_buffer_size(link.depth())
        .max_publishers(1)
        .max_subscribers(1)
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
    publisher: Publisher<ipc::Service, [u64], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

impl carrier::Sender for SampleSender {
    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        let sample = self.publisher.loan_slice_uninit(payload.len_bytes() / size_of::<u64>()).map_err(failed)?;
        let word = payload.word();
        match sample.write_from_fn(|_| word).send().map_err(failed)? {
            0 => Err(Stop::Failed("there was no subscriber to send to".into())),
            _ => Ok(()),
        }
    }
}

/// The end that subscribes.
pub(crate) struct SampleReceiver {
    subscriber: Subscriber<ipc::Service, [u64], ()>,
    _service: Service,
    _node: Node<ipc::Service>,
}

impl carrier::Receiver for SampleReceiver {
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        let sample = loop {
            if let Some(sample) = self.subscriber.receive().map_err(failed)? {
                break sample;
            }
        };
        read(sample.payload().as_bytes());
        Ok(())
    }
}
