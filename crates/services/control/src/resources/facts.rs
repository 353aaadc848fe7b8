//! What the parts of a resource say of themselves: lines `univrs-facts {"name": value}` in their logs. The newest line
//! of a name counts.

use serde_json::{Map, Value};

const MARK: &str = "univrs-facts ";
/// How many facts a resource may have, and how long the text of one may be: logs are anyone's words.
const MOST: usize = 16;
const LONGEST: usize = 200;

/// The facts that lines of logs state, oldest line first.
pub(super) fn read(lines: &[String]) -> Map<String, Value> {
    let mut facts = Map::new();
    for line in lines {
        let said =
            line.split_once(MARK).and_then(|(_, said)| serde_json::from_str::<Map<String, Value>>(said).ok());
        for (name, value) in said.into_iter().flatten() {
            let plain = match &value {
                Value::Number(_) | Value::Bool(_) => true,
                Value::String(text) => text.len() <= LONGEST,
                _ => false,
            };
            if plain && name.len() <= LONGEST && (facts.contains_key(&name) || facts.len() < MOST) {
                facts.insert(name, value);
            }
        }
    }
    facts
}

/// Whether `new` says something else than what is written down. Numbers move all the time: a change of less than a
/// second, or of less than a fifth, is none.
pub(super) fn differ(known: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    let same = |(name, value): (&String, &Value)| match (known.get(name), value) {
        (Some(Value::Number(before)), Value::Number(after)) => {
            let (before, after) = (before.as_f64().unwrap_or(0.0), after.as_f64().unwrap_or(0.0));
            let step = (before - after).abs();
            // Back at nought is told, whatever the step.
            (step < 1.0 || step < before.abs() / 5.0) && ((before == 0.0) == (after == 0.0))
        }
        (before, after) => before == Some(after),
    };
    known.len() != new.len() || !new.iter().all(same)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{differ, read};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_newest_line_of_a_name_counts() {
        let lines = [
            "starting",
            r#"univrs-facts {"lag": 3.5, "connected": true}"#,
            r#"univrs-facts {"lag": "#,
            r#"univrs-facts {"nested": {"a": 1}, "list": []}"#,
            r#"univrs-facts {"lag": 0}"#,
        ];
        let lines: Vec<String> = lines.map(str::to_owned).to_vec();
        assert_eq!(read(&lines), map(json!({"lag": 0, "connected": true})));
        let many: Vec<String> = (0..50).map(|n| format!(r#"univrs-facts {{"f{n}": {n}}}"#)).collect();
        assert_eq!(read(&many).len(), 16);
    }

    #[test]
    fn small_moves_are_no_news() {
        for (known, new, expected) in [
            (json!({}), json!({"lag": 0}), true),
            (json!({"lag": 0}), json!({"lag": 0}), false),
            (json!({"lag": 0.2}), json!({"lag": 0.9}), false),
            (json!({"lag": 0}), json!({"lag": 0.4}), true),
            (json!({"lag": 10}), json!({"lag": 11.5}), false),
            (json!({"lag": 10}), json!({"lag": 15}), true),
            (json!({"up": true}), json!({"up": false}), true),
            (json!({"up": true, "lag": 1}), json!({"up": true}), true),
        ] {
            assert_eq!(differ(&map(known.clone()), &map(new.clone())), expected, "{known} {new}");
        }
    }
}
