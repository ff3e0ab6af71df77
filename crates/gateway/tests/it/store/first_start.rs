//! What a first start makes, and that later ones don't.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use fluxgate_core::config::Config;
use fluxgate_gateway::first_start::{FirstStartError, prepare};
use fluxgate_gateway::password::PasswordHasher;
use fluxgate_gateway::store::{Email, FirstAdmin, UserRef};

use super::{Fresh, at, on_each_store};

on_each_store! {
    the_first_start_makes_a_key_and_a_token_and_a_later_one_only_the_token,
    a_used_token_is_never_good_again,
    the_configured_administrator_is_made_once,
    an_administrator_with_a_bad_password_is_refused_by_name,
    a_key_is_made_only_where_it_is_asked_for,
}

fn passwords() -> PasswordHasher {
    PasswordHasher::start(Config::default().auth.argon2).unwrap()
}

async fn the_first_start_makes_a_key_and_a_token_and_a_later_one_only_the_token(fresh: Fresh) {
    let (folder, config) = (tempfile::tempdir().unwrap(), Config::default());
    let first = prepare(&fresh.store, &passwords(), &config, folder.path(), true).await.unwrap();
    let key = first.key.as_ref().unwrap();
    let kept = fresh.store.find_key(&key.id()).await.unwrap().unwrap();
    assert_eq!(kept.name, "first-key");
    let token = first.setup_token.clone().unwrap();
    assert!(!first.admin_created);
    let shown = format!("{first:?}");
    assert!(!shown.contains(&token) && !shown.contains(&key.reveal()[19..]));

    let later = prepare(&fresh.store, &passwords(), &config, folder.path(), true).await.unwrap();
    assert!(later.key.is_none());
    assert_eq!(later.setup_token.unwrap(), token);

    let elsewhere = Fresh::sqlite().await;
    let other =
        prepare(&elsewhere.store, &passwords(), &config, folder.path(), false).await.unwrap();
    assert_ne!(other.setup_token.unwrap(), token, "another deployment has another");
}

async fn a_used_token_is_never_good_again(fresh: Fresh) {
    assert!(fresh.store.put_setup_token(&[7; 32], at(0)).await.unwrap());
    assert!(fresh.store.put_setup_token(&[7; 32], at(1)).await.unwrap());
    let ada: Email = "ada@example.org".parse().unwrap();
    let made = fresh.store.create_first_admin(&ada, "a hash", Some(&[7; 32]), at(2)).await;
    assert!(matches!(made.unwrap(), FirstAdmin::Created(_)));
    assert!(!fresh.store.put_setup_token(&[7; 32], at(3)).await.unwrap());
}

async fn the_configured_administrator_is_made_once(fresh: Fresh) {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), Config::default());
    config.auth.admin_email = Some("Ada@example.org".into());
    config.auth.admin_password = Some("correct horse battery".into());
    fs::write(folder.path().join("setup-link"), "of an earlier start").unwrap();
    let first = prepare(&fresh.store, &passwords(), &config, folder.path(), false).await.unwrap();
    assert!(first.admin_created && first.setup_token.is_none() && first.key.is_none());
    assert!(!folder.path().join("setup-link").exists());
    let ada: Email = "ada@example.org".parse().unwrap();
    assert!(fresh.store.find_user(&UserRef::Email(ada)).await.unwrap().is_some());

    config.auth.admin_email = Some("eve@example.org".into());
    let later = prepare(&fresh.store, &passwords(), &config, folder.path(), false).await.unwrap();
    assert!(!later.admin_created && later.setup_token.is_none());
}

async fn an_administrator_with_a_bad_password_is_refused_by_name(fresh: Fresh) {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), Config::default());
    config.auth.admin_email = Some("Ada@example.org".into());
    for (password, why) in
        [("passwordpassword", "too common"), ("ADA@example.org", "the account's own name")]
    {
        config.auth.admin_password = Some(password.into());
        let refused = prepare(&fresh.store, &passwords(), &config, folder.path(), true).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, FirstStartError::Password(_)));
        let text = error.to_string();
        assert!(text.starts_with("auth.admin_password: ") && text.contains(why), "{text}");
    }
    assert!(!fresh.store.has_admin().await.unwrap());
}

async fn a_key_is_made_only_where_it_is_asked_for(fresh: Fresh) {
    let (folder, config) = (tempfile::tempdir().unwrap(), Config::default());
    let none = prepare(&fresh.store, &passwords(), &config, folder.path(), false).await.unwrap();
    assert!(none.key.is_none());
    assert!(
        prepare(&fresh.store, &passwords(), &config, folder.path(), true)
            .await
            .unwrap()
            .key
            .is_some()
    );
}

#[tokio::test]
async fn files_for_whoever_has_no_terminal_are_private() {
    let (fresh, folder) = (Fresh::sqlite().await, tempfile::tempdir().unwrap());
    let first =
        prepare(&fresh.store, &passwords(), &Config::default(), folder.path(), true).await.unwrap();
    let link = format!("http://127.0.0.1:3000/setup#{}", first.setup_token.as_ref().unwrap());
    let written = first.write_to_files(folder.path(), Some(&link)).unwrap();
    let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["first-key", "setup-link"]);
    for path in &written {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let key = fs::read_to_string(folder.path().join("first-key")).unwrap();
    assert_eq!(key.trim_end(), first.key.as_ref().unwrap().reveal());
    assert_eq!(fs::read_to_string(folder.path().join("setup-link")).unwrap().trim_end(), link);
}
