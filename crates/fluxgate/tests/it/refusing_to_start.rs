//! Faults at start: one line that says what and what to do, and an exit code.

use std::fs;
use std::net::TcpListener;

use crate::command::{Ended, FREE_PORTS, Folder};

#[track_caller]
fn assert_one_line(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} in {:?}", lines[0]);
    }
}

fn up(arguments: &[&'static str]) -> Vec<&'static str> {
    [&["up"], &FREE_PORTS[..], arguments].concat()
}

#[test]
fn a_second_up_on_the_folder_names_the_first() {
    let folder = Folder::new();
    let first = folder.up(&[]);
    let pid = first.ports()["pid"].to_string();
    assert_one_line(
        &folder.run(&up(&[])),
        73,
        &["in use by another `fluxgate up`", &pid, "FLUXGATE_DATA_DIR"],
    );
    assert!(folder.data("ports.json").exists(), "the first one's file stays");
    first.stop();
    folder.up(&[]).stop();
}

#[test]
fn a_chosen_port_in_use_is_a_fault() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = [&["up", "--web", address.as_str()], &FREE_PORTS[2..]].concat();
    assert_one_line(
        &folder.run(&arguments),
        69,
        &["can't listen on", &address, "web", "choose another port"],
    );
    assert!(!folder.data("ports.json").exists());
}

#[test]
fn a_data_folder_that_cant_be_made_is_a_fault() {
    let folder = Folder::new();
    folder.write("in-the-way", "");
    for name in ["in-the-way", "in-the-way/deeper"] {
        let ended = folder.run(&[&up(&[])[..], &["--data-dir", name]].concat());
        assert_one_line(&ended, 73, &["data folder", name, "FLUXGATE_DATA_DIR"]);
    }
}

#[test]
fn a_shortened_secret_is_a_fault_that_names_its_file() {
    let folder = Folder::new();
    fs::create_dir(folder.path(".fluxgate")).unwrap();
    fs::write(folder.data("jwt-secret"), "short\n").unwrap();
    let ended = folder.run(&up(&[]));
    assert_one_line(&ended, 73, &["jwt-secret", "remove it"]);
    assert!(!ended.stderr.contains("short"));
}

#[test]
fn every_fault_of_the_configuration_is_named_before_anything_is_made_or_bound() {
    let folder = Folder::new();
    folder.write(
        "fluxgate.toml",
        "[listen]\nidle_s = 0\nwebb = \"127.0.0.1:0\"\n[log]\nformat = \"xml\"\n",
    );
    let mut command = folder.command(&up(&["--set", "auth.admin_token=short"]));
    command.env("DATABASE_URL", "mysql://root:hidden@db/fg");
    let ended = crate::command::ended(command);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let faulty = ["listen.idle_s", "listen.webb", "log.format", "auth.admin_token", "database.url"];
    for path in faulty {
        let named = lines.iter().filter(|line| line.contains(&format!("{path}:")));
        assert_eq!(named.count(), 1, "{path} in {}", ended.stderr);
    }
    assert_eq!(lines.len(), faulty.len(), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hidden"));
    assert!(!folder.path(".fluxgate").exists());
}

#[test]
fn beyond_loopback_the_admin_listener_wants_a_given_token() {
    let folder = Folder::new();
    let ended = folder.run(&["up", "--admin", "0.0.0.0:0"]);
    assert_one_line(&ended, 78, &["listen.admin", "ADMIN_TOKEN"]);
}
