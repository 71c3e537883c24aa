//! Which cpus there are, which we may use, and which two of them make the wanted pair.

use std::fs;
use std::io;

use rustix::thread::CpuSet;

use crate::probe::Label;

/// The cpus that this process may run on, ascending.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// What a cpu shares with others, as far as the system says.
struct Neighbours {
    cpu: usize,
    /// The threads of its core.
    core: Vec<usize>,
    /// The cpus that share its last-level cache; empty when unknown.
    cache: Vec<usize>,
}

/// The first two of the `allowed` cpus that should have the label `wanted`, by the system's own account. A virtual
/// machine may say anything, so without such a pair it is the first two; the probe decides in the end. `None` with
/// fewer than two.
pub(crate) fn default_pair(allowed: &[usize], wanted: Option<Label>) -> Option<[usize; 2]> {
    let neighbours: Vec<_> = allowed.iter().map(|&cpu| neighbours_of(cpu)).collect();
    pair(&neighbours, wanted.unwrap_or(Label::Near)).or_else(|| allowed.first_chunk().copied())
}

fn pair(cpus: &[Neighbours], wanted: Label) -> Option<[usize; 2]> {
    cpus.iter().enumerate().find_map(|(index, first)| {
        let second = cpus[index + 1..].iter().find(|second| {
            let (core, cache) = (first.core.contains(&second.cpu), first.cache.contains(&second.cpu));
            match wanted {
                Label::Smt => core,
                Label::Near => !core && cache,
                Label::Far => !core && !cache && !first.cache.is_empty(),
            }
        })?;
        Some([first.cpu, second.cpu])
    })
}

fn neighbours_of(cpu: usize) -> Neighbours {
    let list = |path: &str| {
        let text = fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/{path}")).unwrap_or_default();
        parse_cpu_list(&text)
    };
    Neighbours { cpu, core: list("topology/thread_siblings_list"), cache: list("cache/index3/shared_cpu_list") }
}

/// The cpus in a list such as `0-3,8`. What cannot be read is left out.
fn parse_cpu_list(text: &str) -> Vec<usize> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

/// The size of a cache of `cpu`, which the system numbers by `index` (2 is usually the second level, 3 the last).
pub(crate) fn cache_bytes(cpu: usize, index: usize) -> Option<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}/size");
    parse_cache_size(&fs::read_to_string(path).ok()?)
}

/// A size such as `512K`.
fn parse_cache_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, shift) = match text.strip_suffix('K') {
        Some(digits) => (digits, 10),
        None => text.strip_suffix('M').map_or((text, 0), |digits| (digits, 20)),
    };
    Some(digits.parse::<usize>().ok()? << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read() {
        assert_eq!(parse_cpu_list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(parse_cpu_list("5"), [5]);
        assert!(parse_cpu_list("\n").is_empty());
    }

    #[test]
    fn sizes_of_caches_are_read() {
        assert_eq!(parse_cache_size("512K\n"), Some(512 << 10));
        assert_eq!(parse_cache_size("32M"), Some(32 << 20));
        assert_eq!(parse_cache_size("?"), None);
    }

    /// Two caches of two cores of two threads; threads of one core are four apart.
    fn server() -> Vec<Neighbours> {
        let cache = |cpu: usize| if cpu % 4 < 2 { vec![0, 1, 4, 5] } else { vec![2, 3, 6, 7] };
        (0..8).map(|cpu| Neighbours { cpu, core: vec![cpu % 4, cpu % 4 + 4], cache: cache(cpu) }).collect()
    }

    #[test]
    fn the_pair_is_where_the_label_wants_it() {
        assert_eq!(pair(&server(), Label::Near), Some([0, 1]));
        assert_eq!(pair(&server(), Label::Smt), Some([0, 4]));
        assert_eq!(pair(&server(), Label::Far), Some([0, 2]));
    }

    #[test]
    fn no_pair_is_invented_where_the_system_says_nothing() {
        let unknown: Vec<_> = (0..2).map(|cpu| Neighbours { cpu, core: vec![cpu], cache: vec![] }).collect();
        assert_eq!(pair(&unknown, Label::Near), None);
        assert_eq!(pair(&unknown, Label::Far), None);
    }
}
