//! Finds the expressions in a string and the names they refer to.
//!
//! Not a full parser of the language: it knows strings, brackets, `for` variables, function calls and object keys,
//! which is what it takes to tell a reference from other words and to see that an expression is cut off.

/// A reference: names joined by dots, indexes left out (`aws_subnet.public[0].id` is three names).
pub(super) type Reference = Vec<String>;

/// Words that are no references.
const WORDS: &[&str] = &["true", "false", "null", "for", "in", "if", "else", "endif", "endfor"];

/// Functions of OpenTofu that exist under this name in Terraform too.
const FUNCTIONS: &str = "abs abspath alltrue anytrue base64decode base64encode base64gzip base64sha256 base64sha512 basename \
    bcrypt can ceil chomp chunklist cidrhost cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist \
    compact concat contains csvdecode dirname distinct element endswith file filebase64 filebase64sha256 \
    fileexists filemd5 fileset filesha1 filesha256 flatten floor format formatdate formatlist indent index \
    issensitive join jsondecode jsonencode keys length log lookup lower matchkeys max md5 merge min \
    nonsensitive one parseint pathexpand plantimestamp pow range regex regexall replace reverse rsadecrypt \
    sensitive setintersection setproduct setsubtract setunion sha1 sha256 sha512 signum slice sort split \
    startswith strcontains strrev substr sum templatefile textdecodebase64 textencodebase64 timeadd timecmp \
    timestamp title tobool tolist tomap tonumber toset tostring transpose trim trimprefix trimspace \
    trimsuffix try type upper urlencode uuid uuidv5 values yamldecode yamlencode zipmap";

/// The references in the `${…}` and `%{…}` of a string.
pub(super) fn in_template(text: &str) -> Result<Vec<Reference>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '%']) {
        let sigil = rest.as_bytes()[at];
        let tail = &rest[at + 1..];
        if tail.as_bytes().first() == Some(&sigil) && tail.as_bytes().get(1) == Some(&b'{') {
            rest = &tail[2..];
        } else if let Some(inside) = tail.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| format!("`{}` is not closed", cut(&rest[at..])))?;
            let expression = inside[..end].trim_matches('~').trim();
            if expression.is_empty() {
                return Err("an interpolation is empty".to_owned());
            }
            found.extend(in_expression(expression)?);
            rest = &inside[end + 1..];
        } else {
            rest = tail;
        }
    }
    Ok(found)
}

/// The references in a bare expression.
pub(super) fn in_expression(text: &str) -> Result<Vec<Reference>, String> {
    let tokens = tokens(text)?;
    let mut found = Vec::new();
    let mut bound: Vec<&str> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if *token == Token::Name("for") {
            let names = tokens[index + 1..].iter().take_while(|next| **next != Token::Name("in"));
            bound.extend(
                names.filter_map(|next| if let Token::Name(name) = next { Some(*name) } else { None }),
            );
        }
    }
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        match token {
            Token::Text(inner) => found.extend(in_template(inner)?),
            Token::Name(name) => {
                let next = tokens.get(index + 1);
                let opens = index == 0 || matches!(tokens[index - 1], Token::Sign('{' | ','));
                let is_key = opens && index > 0 && matches!(next, Some(Token::Sign('=' | ':')));
                let attribute = index > 0 && tokens[index - 1] == Token::Sign('.');
                if next == Some(&Token::Sign('(')) {
                    if !FUNCTIONS.split(' ').any(|known| known == *name) {
                        return Err(format!("there is no function `{name}`"));
                    }
                } else if !attribute && !is_key && !WORDS.contains(name) && !bound.contains(name) {
                    found.push(traversal(&tokens[index..]));
                }
            }
            Token::Sign(_) | Token::Number => {}
        }
        index += 1;
    }
    Ok(found)
}

/// The names of a reference that begins with the first token.
fn traversal(tokens: &[Token<'_>]) -> Reference {
    let mut names = Vec::new();
    let mut index = 0;
    while let Some(Token::Name(name)) = tokens.get(index) {
        names.push((*name).to_owned());
        index += 1;
        while tokens.get(index) == Some(&Token::Sign('[')) {
            let mut depth = 0_usize;
            for token in &tokens[index..] {
                index += 1;
                match token {
                    Token::Sign('[') => depth += 1,
                    Token::Sign(']') => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        if tokens.get(index) != Some(&Token::Sign('.')) {
            break;
        }
        index += 1;
        if matches!(tokens.get(index), Some(Token::Sign('*') | Token::Number)) {
            index += 1;
            if tokens.get(index) == Some(&Token::Sign('.')) {
                index += 1;
            }
        }
    }
    names
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Number,
    Text(&'a str),
    Sign(char),
}

/// Words, numbers, strings and signs; brackets must match.
fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first.is_alphabetic() || first == '_' {
            let end =
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
            found.push(Token::Name(&rest[..end]));
            at += end;
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            found.push(Token::Number);
            at += end;
        } else if first == '"' {
            let end =
                string_end(&rest[1..]).ok_or_else(|| format!("a string is not closed in `{}`", cut(text)))?;
            found.push(Token::Text(&rest[1..=end]));
            at += end + 2;
        } else {
            match first {
                '(' | '[' | '{' => open.push(first),
                ')' | ']' | '}' => {
                    let wanted = match first {
                        ')' => '(',
                        ']' => '[',
                        _ => '{',
                    };
                    if open.pop() != Some(wanted) {
                        return Err(format!("`{first}` closes nothing in `{}`", cut(text)));
                    }
                }
                '.' | ',' | ':' | '=' | '?' | '!' | '<' | '>' | '&' | '|' | '+' | '-' | '*' | '/' | '%' => {}
                other => return Err(format!("`{other}` has no meaning in `{}`", cut(text))),
            }
            let double = first == '=' && rest[1..].starts_with('=');
            found.push(Token::Sign(if double { '~' } else { first }));
            at += if double { 2 } else { 1 };
        }
    }
    match open.pop() {
        Some(bracket) => Err(format!("`{bracket}` is not closed in `{}`", cut(text))),
        None if found.is_empty() => Err("an expression is empty".to_owned()),
        None => Ok(found),
    }
}

/// Where the `}` stands that ends an interpolation whose inside begins `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        match first {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            '"' => at += 1 + string_end(&text[at + 1..])?,
            _ => {}
        }
        at += first.len_utf8();
    }
    None
}

/// Where the quote stands that ends a string whose inside begins `text`.
fn string_end(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at + first.len_utf8()..];
        match first {
            '"' => return Some(at),
            '\\' => at += rest.chars().next()?.len_utf8(),
            '$' | '%' if rest.starts_with(first) && rest[1..].starts_with('{') => at += 2,
            '$' | '%' if rest.starts_with('{') => at += 2 + closing(&rest[1..])?,
            _ => {}
        }
        at += first.len_utf8();
    }
    None
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        in_template(text).unwrap().iter().map(|reference| reference.join(".")).collect()
    }

    #[test]
    fn references_are_told_from_other_words() {
        for (text, wanted) in [
            ("plain $5 and 100%", vec![]),
            ("$${not.this} %%{nor.this}", vec![]),
            ("${aws_vpc.main.id}", vec!["aws_vpc.main.id"]),
            ("a-${var.x}-${local.y[0].z}", vec!["var.x", "local.y.z"]),
            ("${aws_subnet.p[*].id}", vec!["aws_subnet.p.id"]),
            ("${aws_subnet.p.*.id}", vec!["aws_subnet.p.id"]),
            ("${data.aws_ami.d[var.n].id}", vec!["data.aws_ami.d.id", "var.n"]),
            ("${[for s in local.subnets : s.id if s.on]}", vec!["local.subnets"]),
            ("${{for k, v in var.m : k => v.x}}", vec!["var.m"]),
            ("${merge({a = var.b, c : local.d}, {})}", vec!["var.b", "local.d"]),
            ("${var.a == var.b ? local.c : null}", vec!["var.a", "var.b", "local.c"]),
            ("${join(\",\", [\"x ${var.deep} }\"])}", vec!["var.deep"]),
            ("%{ if var.on }yes%{ else }no%{ endif }", vec!["var.on"]),
        ] {
            assert_eq!(names(text), wanted, "{text}");
        }
    }

    #[test]
    fn broken_expressions_are_refused() {
        for text in [
            "${var.x",
            "${}",
            "${ ~}",
            "${foo(var.x)}",
            "${(var.x}",
            "${\"open}",
            "${var.x]}",
            "${a ; b}",
            "${'x'}",
        ] {
            assert!(in_template(text).is_err(), "{text}");
        }
    }
}
