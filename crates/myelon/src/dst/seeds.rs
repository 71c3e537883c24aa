//! Which seeds a test runs.

/// The environment variable with the only seed to run, decimal or `0x` and hexadecimal.
pub const SEED_VARIABLE: &str = "MYELON_DST_SEED";

/// The seeds below `count`. If `MYELON_DST_SEED` is set, only that seed, to replay a failure.
///
/// # Panics
/// If the variable is set to something that is no seed.
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var_os(SEED_VARIABLE) {
        Some(text) => vec![
            parse(&text.to_string_lossy())
                .unwrap_or_else(|| panic!("{SEED_VARIABLE}: `{}` is no seed: use 12 or 0xc", text.display())),
        ],
        None => (0..count).collect(),
    }
}

fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_decimal_or_hexadecimal_and_anything_else_is_none() {
        assert_eq!((parse("12"), parse("0xff"), parse("seed"), parse("")), (Some(12), Some(255), None, None));
    }
}
