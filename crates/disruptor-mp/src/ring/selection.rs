//! Which consumers of a ring its producer considers when it counts and waits for them.

/// Which consumers count, and how many are expected.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) prefix: Option<String>,
    pub(crate) expected_consumers: usize,
}

impl Selection {
    /// The prefix of their ids; empty: any.
    pub(crate) fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    /// Whether a consumer of this id counts.
    pub(crate) fn selects(&self, id: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| id.starts_with(prefix.as_str()))
    }
}
