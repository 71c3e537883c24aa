//! The message, as three releases of the program have it. A real release has only its own type, and the versions that
//! its readers still take.

/// The first release.
pub(crate) mod first {
    #[myelon::message]
    pub(crate) struct Measurement {
        pub(crate) number: u64,
        pub(crate) celsius: i32,
    }
}

/// The second release: one more field. Older messages have its default, and no code is needed.
pub(crate) mod second {
    #[myelon::message]
    pub(crate) struct Measurement {
        pub(crate) number: u64,
        pub(crate) celsius: i32,
        #[message(added = 2)]
        pub(crate) place: String,
    }
}

/// The third release: a field has changed its type and its meaning. A conversion says what the old field meant.
pub(crate) mod third {
    use super::{first, second};

    #[myelon::message(takes(second::Measurement, first::Measurement))]
    pub(crate) struct Measurement {
        pub(crate) number: u64,
        pub(crate) millikelvin: u64,
        pub(crate) place: String,
    }

    impl From<second::Measurement> for Measurement {
        fn from(second::Measurement { number, celsius, place }: second::Measurement) -> Self {
            Self { number, millikelvin: (i64::from(celsius) * 1000 + 273_150).max(0) as u64, place }
        }
    }

    impl From<first::Measurement> for Measurement {
        fn from(first::Measurement { number, celsius }: first::Measurement) -> Self {
            second::Measurement { number, celsius, place: String::new() }.into()
        }
    }
}
