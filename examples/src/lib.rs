//! Programs to copy; each example is a folder beside this crate's manifest.
#![forbid(unsafe_code)]

/// Compiles, and where they can be run alone runs, the programs that the guides in `docs/` show.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/getting-started.md")]
    struct GettingStarted;

    #[doc = include_str!("../../docs/joining.md")]
    struct Joining;

    #[doc = include_str!("../../docs/patterns.md")]
    struct Patterns;

    #[doc = include_str!("../../docs/sizing-and-waiting.md")]
    struct SizingAndWaiting;

    #[doc = include_str!("../../docs/upgrading.md")]
    struct Upgrading;

    #[doc = include_str!("../../docs/when-a-process-dies.md")]
    struct WhenAProcessDies;

    #[doc = include_str!("../../docs/reports-and-counters.md")]
    struct ReportsAndCounters;

    #[doc = include_str!("../../docs/operations.md")]
    struct Operations;
}
