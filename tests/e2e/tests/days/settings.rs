//! Settings that cannot be used end the start with one line and status 2, before anything is opened.

use hongyan_harness::Setup;
use std::io::Write;

#[tokio::test]
async fn each_names_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (name, value) in [
        ("USER_SERVER_PORT", "http"),
        ("USER_SERVER_PORT", port.as_str()),
        ("ADMIN_SERVER_PORT", port.as_str()),
        ("USER_STORAGE_PATH", "/no/such/folder/here"),
        ("SYSTEM_STORAGE_PATH", "/no/such/folder/here"),
        ("JWT_SECRET", "short"),
        ("JWT_EXPIRE_TIME", "2 hours"),
        ("WS_PING_INTERVAL", "0s"),
        ("PUBLIC_URL", "notify.example"),
        ("BOOTSTRAP_ADMIN_PASSWORD", "short"),
        ("LOG_LEVEL", "info,=="),
        ("NATS_URL", "nats://127.0.0.1:4222"),
    ] {
        let exit = Setup::default().set(name, value).ends(&[]).await;
        assert_eq!(exit.code, Some(2), "{name}={value}: {}", exit.stderr);
        assert!(exit.stderr.contains(name), "{name}={value}: {}", exit.stderr);
        assert_eq!(exit.stderr.lines().count(), 1, "{}", exit.stderr);
    }
}

#[tokio::test]
async fn backups_among_inboxes_would_be_removed_and_are_refused() {
    let storage = tempfile::tempdir().unwrap();
    let within = storage.path().join("users/backups");
    let setup = Setup::default().storage(storage.path());
    let exit = setup.set("DATABASE_BACKUP_PATH", within.to_str().unwrap()).ends(&[]).await;
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("DATABASE_BACKUP_PATH"), "{}", exit.stderr);
    assert!(exit.stderr.contains("USER_STORAGE_PATH") && !within.exists(), "{}", exit.stderr);
}

#[tokio::test]
async fn a_file_holds_the_same_settings_and_unknown_keys_are_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "user_server_prot = 8080").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let exit = Setup::default().ends(&["--config", &path]).await;
    assert_eq!(exit.code, Some(2));
    assert!(exit.stderr.contains("user_server_prot"), "{}", exit.stderr);
    let exit = Setup::default().set("HONGYAN_CONFIG", "/no/such/file.toml").ends(&[]).await;
    assert_eq!((exit.code, exit.stderr.contains("/no/such/file.toml")), (Some(2), true), "{}", exit.stderr);
}

#[tokio::test]
async fn one_storage_has_one_server() {
    let server = Setup::default().start().await;
    let storage = server.users().parent().unwrap().to_owned();
    let exit = Setup::default().storage(&storage).ends(&[]).await;
    assert_eq!(exit.code, Some(2));
    assert!(exit.stderr.contains("SYSTEM_STORAGE_PATH"), "{}", exit.stderr);
}

#[tokio::test]
async fn one_gateway_can_run_alone() {
    let exit = Setup::default().ends(&["--only", "both"]).await;
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
}

#[tokio::test]
async fn a_machine_without_certificates_runs_a_server() {
    let setup = Setup::default().set("SSL_CERT_FILE", "/nonexistent").set("SSL_CERT_DIR", "/nonexistent");
    let server = setup.start().await;
    assert_eq!(server.admin_gateway().get("/readyz").await.text, "ready\n");
}
