//! What people are told to type exists: commands and flags that documents, hints and comments name. And every command
//! says what it is for.

use std::path::{Path, PathBuf};

use clap::{Arg, Command};

/// Folders that are made or fetched.
const NOT_OURS: &[&str] = &["target", "node_modules", "vendor", ".git"];

fn grammar() -> Command {
    let mut grammar = univrs_cli::command();
    grammar.build();
    grammar
}

#[test]
fn commands_that_documents_and_hints_name_exist() {
    let grammar = grammar();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let (mut judged, mut faults) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, told) in commands(&text, file.extension().is_some_and(|kind| kind == "md")) {
            judged += 1;
            if let Err(fault) = judge(&grammar, told) {
                let file = file.strip_prefix(&root).unwrap();
                faults.push(format!("{}:{line}: {fault}: univrs {told}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(judged > 200, "the documents name many commands, and only {judged} were found");
}

#[test]
fn commands_that_do_not_exist_are_found_out() {
    let grammar = grammar();
    for fine in [
        "node ls",
        "--server http://x nodes ls -o json",
        "lab up --nodes=6",
        "workload …",
        "exec web -- ls --all",
        "node {verb} --force",
    ] {
        assert_eq!(judge(&grammar, fine), Ok(()), "{fine}");
    }
    for (wrong, fault) in [
        ("node list", "`node` has no command `list`"),
        ("frobnicate", "`univrs` has no command `frobnicate`"),
        ("node ls --wrong", "`ls` has no flag `--wrong`"),
        ("ps -Z", "`ps` has no flag `-Z`"),
    ] {
        assert_eq!(judge(&grammar, wrong), Err(fault.to_owned()));
    }
}

#[test]
fn every_command_and_flag_says_what_it_is_for_in_the_same_manner() {
    let mut faults = Vec::new();
    described(&grammar(), &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn described(command: &Command, faults: &mut Vec<String>) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let is_verb = !command.has_subcommands();
    if is_verb && about.split(' ').next().is_some_and(|first| first.ends_with('s')) {
        faults.push(format!("{}: tell what to do, not what it does: {about:?}", command.get_name()));
    }
    let mut said = vec![(command.get_name().to_owned(), about)];
    said.extend(command.get_arguments().filter(|argument| !argument.is_hide_set()).map(|argument| {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        (format!("{} {}", command.get_name(), argument.get_id()), help)
    }));
    for (what, help) in said {
        if !help.starts_with(|c: char| c.is_uppercase() || c == '`') || help.ends_with('.') {
            faults.push(format!("{what}: a capital first and no period last: {help:?}"));
        }
    }
    for below in command.get_subcommands() {
        described(below, faults);
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&name) {
            collect(&path, files);
        } else if [".md", ".rs", ".ts", ".tsx"].iter().any(|ending| name.ends_with(ending))
            && name != "documented.rs"
        {
            files.push(path);
        }
    }
}

/// What follows `univrs` in spans of code, and in the blocks of code of documents, with lines.
fn commands(text: &str, is_document: bool) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let in_block = is_document && (fenced || line.starts_with("    "));
        for (at, _) in line.match_indices("univrs ") {
            let before = line[..at].strip_suffix("sudo ").unwrap_or(&line[..at]);
            let begins = before.ends_with('`')
                || in_block && before.trim().is_empty()
                || in_block && ["$ ", "$(", "| ", "&& "].iter().any(|mark| before.ends_with(mark));
            if begins {
                let told = line[at + "univrs ".len()..].split(['`', '|', '#', ')', '&', ';', '>']).next();
                found.extend(told.map(|told| (number + 1, told.trim())));
            }
        }
    }
    found
}

/// Goes down the grammar as far as the words are plain.
fn judge(grammar: &Command, told: &str) -> Result<(), String> {
    let mut command = grammar;
    let mut words = told.split_whitespace();
    while let Some(word) = words.next() {
        let word = word.trim_end_matches(['.', ',', ';', ':', '…', '\\', '"', '\'']);
        if word == "--" {
            return Ok(());
        }
        if word.len() > 1 && word.starts_with('-') {
            let flag = word.split(['=', '[']).next().unwrap_or(word).trim_end_matches(']');
            let argument = command.get_arguments().find(|argument| is_called(argument, flag));
            let Some(argument) = argument else {
                return Err(format!("`{}` has no flag `{flag}`", command.get_name()));
            };
            if argument.get_action().takes_values() && !word.contains('=') {
                words.next();
            }
        } else if command.has_subcommands() {
            match command.find_subcommand(word) {
                Some(below) => command = below,
                None if !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') => {
                    return Err(format!("`{}` has no command `{word}`", command.get_name()));
                }
                None => return Ok(()),
            }
        }
    }
    Ok(())
}

fn is_called(argument: &Arg, flag: &str) -> bool {
    match flag.strip_prefix("--") {
        Some(long) => {
            argument.get_long() == Some(long)
                || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        }
        None => flag.chars().nth(1).is_some_and(|short| {
            argument.get_short() == Some(short)
                || argument.get_all_short_aliases().is_some_and(|aliases| aliases.contains(&short))
        }),
    }
}
