//! A scheduler's step as a typed message.

use super::limits;
use crate::messages::Figure;
use crate::schedule::{Aim, Case};
use crate::typed::{Form, Through, TypedStep};
use crate::workload::{Workload, waiting::Waiting};

/// Every form. The bytes are compared with the cache line, trusted reading and the copying codec with the bytes,
/// validation with trusted reading.
pub(crate) fn cases() -> Vec<Case> {
    let case = |form: Form| {
        let (figure, through, waiting) = (Figure::RoundTrip, Through::Ours, Waiting::Spin);
        let step = TypedStep { form, figure, through, waiting };
        Case::new(form.case_name(), waiting.name(), Workload::TypedStep(step))
    };
    let cache_line = limits::cache_line_case();
    let bytes = case(Form::Bytes).beside(&cache_line);
    let trusted = case(Form::RkyvTrusted).beside(&bytes).aiming(Aim::AtMostMore(1000.0));
    let validated = case(Form::RkyvValidated).beside(&trusted).aiming(Aim::AtMost(7500.0));
    let owned = case(Form::BincodeOwned).beside(&bytes).aiming(Aim::AtMost(40e3));
    let varying = case(Form::PostcardOwned).beside(&bytes);
    vec![cache_line, bytes, trusted, validated, owned, varying]
}
