//! Every kind of fault: what it says, and that it is said once.

use fluxgate_core::config::{Program, load};

use crate::{SECRET, given};

#[test]
fn faults_of_three_layers_are_named_at_once() {
    let mut faults = given("[listen]\nidel_s = 30\nhandshake_s = 0\n[log]\nformat = \"xml\"\n")
        .env("FLUXGATE__LISTEN__IDLE_S", "abc")
        .env("JWT_SECRET", "hidden")
        .flag("listen.http", "everywhere")
        .faults();
    faults.sort();
    assert_eq!(
        faults,
        [
            "auth.jwt_secret: expected a secret of 32 to 4096 bytes, found 6 bytes (environment JWT_SECRET)",
            "listen.handshake_s: expected a whole number of seconds from 1 to 300, found 0 (fluxgate.toml, line 3)",
            "listen.http: expected an address with a port, such as 127.0.0.1:8443 or [::1]:8443, or \"off\", found \"everywhere\" (command line)",
            "listen.idel_s: no such setting; did you mean listen.idle_s? (fluxgate.toml, line 2)",
            "listen.idle_s: expected a whole number of seconds from 1 to 3600, found \"abc\" (environment FLUXGATE__LISTEN__IDLE_S)",
            "log.format: expected one of json, pretty, auto, found \"xml\" (fluxgate.toml, line 5)",
        ]
    );
}

#[test]
fn the_gateway_names_all_that_it_lacks_and_how_to_set_it() {
    let faults = given("").faults_of(Program::Gateway);
    let lacks = [
        ("database.url", "DATABASE_URL_FILE"),
        ("redis.url", "REDIS_URL_FILE"),
        ("auth.jwt_secret", "openssl rand -hex 32"),
        ("auth.admin_token", "ADMIN_TOKEN_FILE"),
        ("auth.guard_token", "GUARD_TOKEN_FILE"),
        ("upstreams", "DOWNSTREAM_AI_URLS"),
    ];
    assert_eq!(faults.len(), lacks.len(), "{faults:?}");
    for (fault, (path, hint)) in faults.iter().zip(lacks) {
        assert!(fault.starts_with(&format!("{path}: ")) && fault.contains(hint), "{fault}");
    }
}

#[test]
fn a_wrong_value_is_not_called_missing_as_well() {
    let mut sources = given("").production().sources;
    sources.file = None;
    for (name, value) in &mut sources.env {
        match name.as_str() {
            "JWT_SECRET" => *value = "short".to_owned(),
            "DOWNSTREAM_AI_URLS" => *value = "ftp://x".to_owned(),
            _ => {}
        }
    }
    let faults = load(&sources, Program::Gateway).unwrap_err();
    let paths: Vec<&str> = faults.0.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["auth.jwt_secret", "downstream_ai_urls.0"]);
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let mut given = given("");
    given.sources.file = Some(given.path("absent.toml"));
    // Whatever else the gateway needs might stand in it.
    let faults = given.faults_of(Program::Gateway);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("absent.toml: the file can't be read: "), "{faults:?}");
}

#[test]
fn a_fault_of_syntax_has_line_and_column_and_hides_no_other_layer() {
    let given = given("[auth]\njwt_secret = \"hidden\n").env("FLUXGATE__LISTEN__IDLE_S", "0");
    let faults = given.faults_of(Program::Gateway);
    assert!(faults[0].starts_with("fluxgate.toml: line 2, column "), "{faults:?}");
    assert!(faults.last().unwrap().starts_with("listen.idle_s: "), "{faults:?}");
    assert!(!faults.iter().any(|fault| fault.contains("missing")), "{faults:?}");
}

#[test]
fn a_key_that_is_given_twice_is_a_fault_of_syntax() {
    let faults = given("[listen]\nidle_s = 1\nidle_s = 2\n").faults();
    assert!(faults[0].starts_with("fluxgate.toml: line 3, column 1: "), "{faults:?}");
}

#[test]
fn unknown_keys_are_faults_with_the_nearest_name() {
    given("[listn]\nidle_s = 3\n")
        .has_one_fault("listn: no such setting; did you mean listen? (fluxgate.toml, line 1)");
    given("idle_s = 3\n").has_one_fault(
        "idle_s: no such setting; did you mean listen.idle_s? (fluxgate.toml, line 1)",
    );
    given("\"\\u001b[2J\" = 3\n")
        .has_one_fault("\"\\u{1b}[2J\": no such setting (fluxgate.toml, line 1)");
    given("").env("FLUXGATE__LISTN__IDLE_S", "3").has_one_fault(
        "listn.idle_s: no such setting; did you mean FLUXGATE__LISTEN__IDLE_S? (environment FLUXGATE__LISTN__IDLE_S)",
    );
    given("")
        .flag("log.formt", "json")
        .has_one_fault("log.formt: no such setting; did you mean log.format? (command line)");
}

#[test]
fn a_wrong_type_is_a_fault_that_says_the_right_one() {
    let seconds = "expected a whole number of seconds from 1 to 3600";
    for (wrong, found) in
        [("1.5", "1.5"), ("true", "true"), ("99999999999999999999", "\"99999999999999999999\"")]
    {
        given(&format!("[listen]\nidle_s = {wrong}\n")).has_one_fault(&format!(
            "listen.idle_s: {seconds}, found {found} (fluxgate.toml, line 2)"
        ));
    }
    given("listen = 3\n")
        .has_one_fault("listen: expected a section: [listen] (fluxgate.toml, line 1)");
    given("upstreams = \"a\"\n")
        .has_one_fault("upstreams: expected entries: [[upstreams]] (fluxgate.toml, line 1)");
    given("upstreams = [3]\n")
        .has_one_fault("upstreams.0: expected an entry: [[upstreams]] (fluxgate.toml, line 1)");
    given("[log]\nfilter = 3\n").has_one_fault(
        "log.filter: expected a text of 1 to 1024 bytes, found 3 (fluxgate.toml, line 2)",
    );
    given("[auth]\njwt_secret = 12345\n").has_one_fault(
        "auth.jwt_secret: expected a secret of 32 to 4096 bytes (fluxgate.toml, line 2)",
    );
    given("[auth]\nregistration = \"all\"\n").has_one_fault(
        "auth.registration: expected one of closed, invite, open, found \"all\" (fluxgate.toml, line 2)",
    );
    given("[auth]\naudit_kept_days = 3651\n").has_one_fault(
        "auth.audit_kept_days: expected a whole number of days from 1 to 3650, found 3651 (fluxgate.toml, line 2)",
    );
    given("").env("FLUXGATE__LISTEN", "3").has_one_fault(
        "listen: is a section: give its fields, such as FLUXGATE__LISTEN__ADMIN (environment FLUXGATE__LISTEN)",
    );
    given("[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\nstream_usage = \"no\"\n").has_one_fault(
        "upstreams.0.stream_usage: expected true or false, found \"no\" (fluxgate.toml, line 4)",
    );
}

#[test]
fn addresses_networks_and_names_must_be_of_their_form() {
    let cidr = "a network in CIDR form, such as 10.0.0.0/8, or 10.0.0.7/32 for a single address";
    given("").env("TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.7").has_one_fault(&format!(
        "listen.trusted_proxies.1: expected {cidr}, found \"10.0.0.7\" (environment TRUSTED_PROXIES)"
    ));
    given("[listen]\ntrusted_proxies = \"10.0.0.0/8\"\n").has_one_fault(&format!(
        "listen.trusted_proxies: expected a list, each entry {cidr}, found \"10.0.0.0/8\" (fluxgate.toml, line 2)"
    ));
    given("").env("GATEWAY_REPLICA_ID", "a b").has_one_fault(
        "listen.replica_id: expected 1 to 64 letters, digits, dots, dashes or underscores, found \"a b\" (environment GATEWAY_REPLICA_ID)",
    );
    given("").env("PUBLIC_URL", "https://ai.example.com/chat").has_one_fault(
        "listen.public_url: expected scheme, host and port alone, such as https://ai.example.com (environment PUBLIC_URL)",
    );
    given("").env("FLUXGATE_ADMIN_EMAIL", "nobody").env("FLUXGATE_ADMIN_PASSWORD", SECRET).has_one_fault(
        "auth.admin_email: expected an email address, found \"nobody\" (environment FLUXGATE_ADMIN_EMAIL)",
    );
}

#[test]
fn a_url_with_credentials_is_refused_without_showing_them() {
    let url = |text: &str, fault: &str| {
        given("").env("DOWNSTREAM_AI_URLS", text).has_one_fault(&format!(
            "downstream_ai_urls.0: {fault} (environment DOWNSTREAM_AI_URLS)"
        ));
    };
    url(
        "https://me:hidden@models.example.com",
        "expected a URL without user and password: give the credential as api_key of an [[upstreams]] entry",
    );
    url(
        "https://me:hidden@models.example.com:99999",
        "expected an http or https URL, such as http://127.0.0.1:11434",
    );
    url(
        "https://models.example.com?key=hidden",
        "expected a base URL, without a query and without a fragment",
    );
    given("").env("DATABASE_URL", "mysql://fg:hidden@db/fg").has_one_fault(
        "database.url: expected postgres://user:password@host/database or sqlite://path (environment DATABASE_URL)",
    );
    for bare in [
        "postgres://fg:1/hidden@db/fg",
        "postgres://fg:1?hidden@db/fg",
        "postgres://fg:1#hidden@db/fg",
    ] {
        let faults = given("").env("DATABASE_URL", bare).faults();
        assert!(faults[0].contains("percent-encoded"), "{faults:?}");
    }
}

#[test]
fn secrets_have_a_least_length_and_tokens_fit_a_header() {
    for name in ["JWT_SECRET", "JWT_SECRET_PREVIOUS", "ADMIN_TOKEN", "GUARD_TOKEN"] {
        let faults = given("").env(name, &SECRET[..31]).faults();
        assert!(faults[0].contains("of 32 to 4096 bytes, found 31 bytes"), "{faults:?}");
        given("").env(name, &SECRET[..32]).load();
    }
    let faults = given("").env("ADMIN_TOKEN", &format!("{SECRET} {SECRET}")).faults();
    assert!(faults[0].contains("visible ASCII characters without spaces"), "{faults:?}");
    let password = |bytes: usize| {
        let email = given("").env("FLUXGATE_ADMIN_EMAIL", "a@example.com");
        load(&email.env("FLUXGATE_ADMIN_PASSWORD", &"x".repeat(bytes)).sources, Program::Up).is_ok()
    };
    assert_eq!([14, 15, 1024, 1025].map(password), [false, true, true, false]);
}

#[test]
fn a_secrets_file_must_be_readable_and_the_only_source() {
    given("").env("JWT_SECRET", SECRET).env_file("JWT_SECRET_FILE", SECRET).has_one_fault(
        "auth.jwt_secret: JWT_SECRET and JWT_SECRET_FILE are both set: keep one of them (environment JWT_SECRET_FILE)",
    );
    given("").env_file("JWT_SECRET_FILE", "\n").has_one_fault(
        "auth.jwt_secret: the file is empty (environment JWT_SECRET_FILE, file JWT_SECRET_FILE)",
    );
    given("").env_file("JWT_SECRET_FILE", &"hidden".repeat(20_000)).has_one_fault(
        "auth.jwt_secret: the file can't be read: it has more than 65536 bytes (environment JWT_SECRET_FILE, file JWT_SECRET_FILE)",
    );
    let email = given("").production().env("FLUXGATE_ADMIN_EMAIL", "a@example.com");
    let absent = email.path("absent");
    let faults = email
        .env("FLUXGATE_ADMIN_PASSWORD_FILE", absent.to_str().unwrap())
        .faults_of(Program::Gateway);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("auth.admin_password: the file can't be read: "), "{faults:?}");
    assert!(
        faults[0].ends_with("(environment FLUXGATE_ADMIN_PASSWORD_FILE, file absent)"),
        "{faults:?}"
    );
}

#[test]
fn one_setting_by_two_variables_is_a_fault() {
    given("").env("WEB_ADDR", "off").env("FLUXGATE__LISTEN__WEB", "off").has_one_fault(
        "listen.web: FLUXGATE__LISTEN__WEB and WEB_ADDR are both set: keep one of them (environment WEB_ADDR)",
    );
}

#[test]
fn what_belongs_together_is_given_together() {
    given("[tls]\ncert_path = \"cert.pem\"\n").has_one_fault(
        "tls.key_path: missing: tls.cert_path is given, and needs it (set TLS_KEY_PATH)",
    );
    given("").env("FLUXGATE_ADMIN_PASSWORD", SECRET).has_one_fault(
        "auth.admin_email: missing: auth.admin_password is given, and needs it (set FLUXGATE_ADMIN_EMAIL)",
    );
    given("").env("ADMIN_TOKEN", SECRET).env("GUARD_TOKEN", SECRET).has_one_fault(
        "auth.guard_token: is the same as auth.admin_token: the guard must not have the operator's rights (environment GUARD_TOKEN)",
    );
    let signing = given("").env("JWT_SECRET", SECRET);
    signing.env("JWT_SECRET_PREVIOUS", SECRET).has_one_fault(
        "auth.jwt_secret_previous: is the same as auth.jwt_secret: expected the one before it, or none (environment JWT_SECRET_PREVIOUS)",
    );
    for (variable, path) in
        [("JWT_SECRET", "jwt_secret"), ("JWT_SECRET_PREVIOUS", "jwt_secret_previous")]
    {
        for token in ["admin_token", "guard_token"] {
            given("").env(variable, SECRET).env(&token.to_uppercase(), SECRET).has_one_fault(&format!(
                "auth.{path}: is the same as auth.{token}: whoever has that token could sign sessions (environment {variable})"
            ));
        }
    }
    given("[auth.sessions]\nidle_s = 3600\nmax_s = 3599\n").has_one_fault(
        "auth.sessions.idle_s: 3600 is more than auth.sessions.max_s (3599): no session lasts so long (fluxgate.toml, line 2)",
    );
    given("[auth.sessions]\nmax_s = 3600\n").has_one_fault(
        "auth.sessions.max_s: 3600 is less than auth.sessions.idle_s (604800): no session lasts so long (fluxgate.toml, line 2)",
    );
    given("[listen]\nbody_bytes_max = \"1GiB\"\n").has_one_fault(
        "listen.body_bytes_max: 1073741824 is more than listen.bodies_in_flight_bytes_max (536870912): no such body could be taken (fluxgate.toml, line 2)",
    );
}

#[test]
fn the_admin_listener_leaves_loopback_only_with_a_given_token() {
    let open = |address| given("").env("GATEWAY_ADMIN_ADDR", address);
    for address in ["0.0.0.0:9901", "[::]:9901", "10.0.0.1:9901"] {
        open(address).has_one_fault(
            "listen.admin: beyond loopback the admin listener needs a given ADMIN_TOKEN: set it, or listen on 127.0.0.1 (environment GATEWAY_ADMIN_ADDR)",
        );
        open(address).env("ADMIN_TOKEN", SECRET).load();
    }
    for address in ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "off"] {
        open(address).load();
    }
}

#[test]
fn two_listeners_of_one_address_are_a_fault_unless_a_port_is_free_to_move() {
    let same = given("").env("GATEWAY_HTTP_ADDR", "127.0.0.1:3000");
    assert_eq!(same.load().config.listen.http, same.load().config.listen.web);
    same.env("WEB_ADDR", "0.0.0.0:3000")
        .has_one_fault("listen.web: 0.0.0.0:3000 is taken by listen.http (environment WEB_ADDR)");
    given("").env("GATEWAY_HTTP_ADDR", "127.0.0.1:0").env("WEB_ADDR", "127.0.0.1:0").load();
}

#[test]
fn a_public_listener_must_be_left() {
    given("").env("GATEWAY_HTTPS_ADDR", "off").env("WEB_ADDR", "OFF").has_one_fault(
        "listen.https: https, http and web are all off: nothing would be served (environment GATEWAY_HTTPS_ADDR)",
    );
}

#[test]
fn lists_have_no_gaps_and_an_end() {
    given("").env("FLUXGATE__DOWNSTREAM_AI_URLS__1", "http://d").has_one_fault(
        "downstream_ai_urls.1: entries are numbered from 0 without a gap: there is no downstream_ai_urls.0 (environment FLUXGATE__DOWNSTREAM_AI_URLS__1)",
    );
    let faults = given("").env("DOWNSTREAM_AI_URLS", &vec!["http://a"; 65].join(",")).faults();
    assert!(faults[0].contains("expected at most 64 entries, found 65"), "{faults:?}");
}

#[test]
fn upstreams_have_a_name_that_is_unique_and_a_url() {
    given("[[upstreams]]\nname = \"a\"\nurl = \"http://a\"\n\n[[upstreams]]\nname = \"a\"\nurl = \"http://b\"\n")
        .has_one_fault(
            "upstreams.1.name: \"a\" is the name of upstreams.0.name too: expected another (fluxgate.toml, line 6)",
        );
    assert_eq!(
        given("[[upstreams]]\nname = \"a\"\n[[upstreams]]\nurl = \"http://b\"\n").faults(),
        [
            "upstreams.0.url: missing: expected an http or https URL, such as http://127.0.0.1:11434 (fluxgate.toml, line 2)",
            "upstreams.1.name: missing: expected 1 to 64 letters, digits, dots, dashes or underscores (fluxgate.toml, line 4)",
        ]
    );
    given("[[upstreams]]\n").has_one_fault(
        "upstreams.0: the entry is empty: it needs name and url (fluxgate.toml, line 1)",
    );
}
