//! The rules by which serde turns one name into another.

/// A value of `rename_all`.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Lower,
    Upper,
    Pascal,
    Camel,
    Snake,
    ScreamingSnake,
    Kebab,
    ScreamingKebab,
}

impl Rule {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "lowercase" => Self::Lower,
            "UPPERCASE" => Self::Upper,
            "PascalCase" => Self::Pascal,
            "camelCase" => Self::Camel,
            "snake_case" => Self::Snake,
            "SCREAMING_SNAKE_CASE" => Self::ScreamingSnake,
            "kebab-case" => Self::Kebab,
            "SCREAMING-KEBAB-CASE" => Self::ScreamingKebab,
            _ => return None,
        })
    }

    /// The name of a field that has the name `snake` in the source.
    pub(super) fn field(self, snake: &str) -> String {
        match self {
            Self::Lower | Self::Snake => snake.to_owned(),
            Self::Upper | Self::ScreamingSnake => snake.to_ascii_uppercase(),
            Self::Pascal => snake.split('_').map(|word| with_first(word, |c| c.to_ascii_uppercase())).collect(),
            Self::Camel => with_first(&Self::Pascal.field(snake), |c| c.to_ascii_lowercase()),
            Self::Kebab => snake.replace('_', "-"),
            Self::ScreamingKebab => Self::Upper.field(snake).replace('_', "-"),
        }
    }

    /// The name of a variant that has the name `pascal` in the source.
    pub(super) fn variant(self, pascal: &str) -> String {
        match self {
            Self::Pascal => pascal.to_owned(),
            Self::Lower => pascal.to_ascii_lowercase(),
            Self::Upper => pascal.to_ascii_uppercase(),
            Self::Camel => with_first(pascal, |c| c.to_ascii_lowercase()),
            Self::Snake => {
                let word = |(at, c): (usize, char)| {
                    let separator = if at > 0 && c.is_uppercase() { "_" } else { "" };
                    format!("{separator}{}", c.to_ascii_lowercase())
                };
                pascal.char_indices().map(word).collect()
            }
            Self::ScreamingSnake => Self::Snake.variant(pascal).to_ascii_uppercase(),
            Self::Kebab => Self::Snake.variant(pascal).replace('_', "-"),
            Self::ScreamingKebab => Self::ScreamingSnake.variant(pascal).replace('_', "-"),
        }
    }
}

fn with_first(word: &str, change: impl Fn(char) -> char) -> String {
    let mut rest = word.chars();
    rest.next().map(change).into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::Rule;

    /// The examples are from serde's documentation and tests.
    #[test]
    fn names_change_as_serde_changes_them() {
        for (rule, field, variant) in [
            ("lowercase", "very_tasty", "verytasty"),
            ("UPPERCASE", "VERY_TASTY", "VERYTASTY"),
            ("PascalCase", "VeryTasty", "VeryTasty"),
            ("camelCase", "veryTasty", "veryTasty"),
            ("snake_case", "very_tasty", "very_tasty"),
            ("SCREAMING_SNAKE_CASE", "VERY_TASTY", "VERY_TASTY"),
            ("kebab-case", "very-tasty", "very-tasty"),
            ("SCREAMING-KEBAB-CASE", "VERY-TASTY", "VERY-TASTY"),
        ] {
            let rule = Rule::named(rule).expect("serde knows it");
            assert_eq!((rule.field("very_tasty").as_str(), rule.variant("VeryTasty").as_str()), (field, variant));
        }
        assert!(Rule::named("Title Case").is_none());
    }
}
