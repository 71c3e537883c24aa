//! Where records are claimed: in a ring, or in a batch. The layers above write messages in the same way in both.

use super::batch::RecordBatch;
use super::claim::RecordClaim;
use super::error::RecordError;
use super::producer::{RecordProducer, Tell};
use crate::ring::ends::patience::Patience;

/// Claims for a caller that has its patience already, and lends it: passed on by value, it would be copied through
/// memory, even if there is room and nothing to wait for.
pub trait Claims {
    /// As [`RecordProducer::claim`], always in the ring: for writers that mostly copy one contiguous block of bytes.
    ///
    /// # Errors
    /// As [`RecordProducer::claim`].
    #[doc(hidden)]
    fn claim_to_copy(&mut self, len: usize, patience: &Patience) -> Result<RecordClaim<'_>, RecordError>;

    /// As [`RecordProducer::try_claim_at_least`], for `max` bytes: at least `min`, and at most
    /// [`max_record_bytes`](RecordProducer::max_record_bytes).
    ///
    /// # Errors
    /// As [`RecordProducer::try_claim_at_least`].
    #[doc(hidden)]
    fn try_claim_within(
        &mut self,
        min: usize,
        max: usize,
        patience: &Patience,
    ) -> Result<Option<RecordClaim<'_>>, RecordError>;
}

/// The claims of `$ring`, made by its producer, and when readers are told of them.
macro_rules! claims {
    ($ring:ty, $($producer:ident)?, $tell:expr) => {
        impl Claims for $ring {
            #[inline(always)]
            fn claim_to_copy(&mut self, len: usize, patience: &Patience) -> Result<RecordClaim<'_>, RecordError> {
                self.$($producer.)?claim_to_copy_telling(len, patience, $tell)
            }

            #[inline(always)]
            fn try_claim_within(
                &mut self,
                min: usize,
                max: usize,
                patience: &Patience,
            ) -> Result<Option<RecordClaim<'_>>, RecordError> {
                self.$($producer.)?try_claim_at_least_telling(min, max, patience, $tell)
            }
        }
    };
}

claims!(RecordProducer, , Tell::AtOnce);
claims!(RecordBatch<'_>, producer, Tell::WithBatch);
