//! Reading JSON that other systems' programs write: keys in any case, numbers where texts are meant.

use serde_json::Value;

/// A part of such a JSON; what is not there is null.
#[derive(Debug, Clone, Copy)]
pub struct Loose<'a>(pub &'a Value);

const NOTHING: Value = Value::Null;

impl<'a> Loose<'a> {
    /// What an object has under a name, in whatever case the name is written.
    pub fn get(self, name: &str) -> Loose<'a> {
        let found = self.0.as_object().and_then(|object| {
            let exact = object.get(name);
            exact.or_else(|| {
                object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            })
        });
        Loose(found.unwrap_or(&NOTHING))
    }

    /// A text, or a number or flag as text; empty for anything else.
    pub fn text(self) -> String {
        match self.0 {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => String::new(),
        }
    }

    /// The text, if there is anything to be seen of it.
    pub fn some(self) -> Option<String> {
        Some(self.text()).filter(|text| !super::is_blank(text))
    }

    pub fn number(self) -> Option<i64> {
        match self.0 {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub fn is_there(self) -> bool {
        !self.0.is_null()
    }

    /// The items of a list; none for anything else.
    pub fn items(self) -> impl Iterator<Item = Loose<'a>> {
        self.0.as_array().into_iter().flatten().map(Loose)
    }

    /// The entries of an object; none for anything else.
    pub fn entries(self) -> impl Iterator<Item = (&'a str, Loose<'a>)> {
        self.0.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), Loose(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case_and_an_exact_one_wins() {
        let value = serde_json::json!({"At": {"atMobiles": [1]}, "N": 3, "n": "4", "x": null});
        let loose = Loose(&value);
        assert_eq!(loose.get("at").get("ATMOBILES").items().count(), 1);
        assert_eq!(loose.get("n").number(), Some(4));
        assert_eq!(loose.get("N").text(), "3");
        assert!(!loose.get("x").is_there() && !loose.get("none").get("deeper").is_there());
    }
}
