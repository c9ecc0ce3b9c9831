//! How the first people come in: by a link from the command line, and into the demo by what it prints.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::world::{SOON, World};

const PASSWORD: &str = "three words and more";

async fn invite(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("invite").args(arguments).arg("--config").arg(world.dir.path().join("tandem.toml"));
    command.env("TANDEM_WHATSAPP__APP_SECRET", "secret").env("TANDEM_WHATSAPP__VERIFY_TOKEN", "token");
    command.output().await.unwrap()
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why) && output.stdout.is_empty(), "{why}: {said}");
}

async fn send(base: &str, path: &str, body: Value) -> (u16, Value) {
    let response = reqwest::Client::new().post(format!("{base}/v1/{path}")).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

on_both!(the_first_owner_is_invited_from_the_command_line_while_the_gateway_runs);
async fn the_first_owner_is_invited_from_the_command_line_while_the_gateway_runs(world: World) {
    let made = invite(&world, &["agt_olga", "--role", "owner", "--name", "Olga", "--email", "olga@example.com"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let link = String::from_utf8(made.stdout).unwrap();
    let (page, secret) = link.trim().split_once("#invitation=").expect("a link and nothing else");
    assert!(page.starts_with("http://127.0.0.1:") && page.ends_with("/welcome") && secret.starts_with("ti_"), "{link}");
    let (status, session) =
        send(&world.gateway.base, "session/invitation", json!({"invitation": secret, "password": PASSWORD})).await;
    assert_eq!((status, &session["agent"]["name"]), (201, &json!("Olga")), "{session}");
    assert_eq!(session["grants"]["manage"], true);
    let (status, _) =
        send(&world.gateway.base, "session", json!({"login": "olga@example.com", "password": PASSWORD})).await;
    assert_eq!(status, 201);

    // A link for who is there needs no role, and taking one by mistake makes nobody an owner.
    let again = invite(&world, &["agt_olga"]).await;
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("#invitation=ti_"));
    refused(&invite(&world, &["agt_olga", "--role", "owner"]).await, "there is an agent agt_olga already");
    refused(&invite(&world, &["agt_nobody"]).await, "there is no agent agt_nobody; say --role owner");
    refused(
        &invite(&world, &["agt_x", "--role", "boss"]).await,
        "there is no role \"boss\"; there are owner, sales_lead",
    );
    refused(&invite(&world, &["agt_x", "--role", "owner", "--email", "olga"]).await, "is no e-mail address");
    refused(&invite(&world, &["no id", "--role", "owner"]).await, "is no agent's id");
    assert_eq!(world.gateway.request("GET", "agents/agt_x", None).await.status, 404, "what was refused made nobody");
}

#[tokio::test]
async fn an_invitation_without_a_configuration_or_a_database_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tandem.toml");
    let ask = async |config: &str| {
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(["invite", "agt_a", "--role", "owner", "--config"]).arg(&file).output().await.unwrap()
    };
    refused(&ask("[http]\nlisten = \"nowhere\"\nlissen = 1\n").await, "lissen");
    let plain_file = dir.path().join("file");
    std::fs::write(&plain_file, "").unwrap();
    refused(&ask(&format!("[data]\ndir = {:?}\n", plain_file.join("data"))).await, "file/data");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://tandem@{closed}/tandem");
    refused(&ask(&format!("[data]\ndir = {:?}\nurl = {url:?}\n", dir.path().join("data"))).await, "127.0.0.1");
}

/// What a demo prints when it is ready, and the demo.
struct Demo {
    child: Child,
    base: String,
    links: Vec<String>,
    emails: Vec<String>,
    password: String,
}

impl Demo {
    async fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(["demo", "--listen", "127.0.0.1:0", "--dir"]).arg(dir).current_dir(dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut links, mut emails) = (Vec::new(), Vec::new());
        loop {
            let line =
                tokio::time::timeout(SOON * 2, lines.next_line()).await.expect("it greets in time").unwrap().unwrap();
            emails.extend(line.split_whitespace().filter(|word| word.contains('@')).map(str::to_owned));
            links.extend(line.split_once("#token=").map(|(_, token)| token.to_owned()));
            if let Some((base, password)) = line.split_once("password of all four: ") {
                let base = base.split_whitespace().last().unwrap().to_owned();
                return Self { child, base, links, emails, password: password.trim().to_owned() };
            }
        }
    }
}

#[tokio::test]
async fn the_sign_ins_that_the_demo_prints_are_good_and_what_is_changed_in_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["Nino Beridze", "Nino of Batumi"] {
        let Demo { mut child, base, links, emails, password } = Demo::start(dir.path()).await;
        assert_eq!((links.len(), emails.len()), (4, 4), "{emails:?}");
        for email in &emails {
            let (status, session) = send(&base, "session", json!({"login": email, "password": password})).await;
            assert_eq!((status, &session["agent"]["email"]), (201, &json!(email)), "{session}");
        }
        let http = reqwest::Client::new();
        for token in &links {
            let asked = http.get(format!("{base}/v1/session")).bearer_auth(token).send().await.unwrap();
            assert_eq!(asked.status(), 200);
        }
        let nino = format!("{base}/v1/contacts/wa:995555010203");
        let key = std::fs::read_to_string(dir.path().join("admin.key")).unwrap();
        let found: Value = http.get(&nino).bearer_auth(key.trim()).send().await.unwrap().json().await.unwrap();
        assert_eq!(found["name"], name);
        let renamed = http.put(&nino).bearer_auth(key.trim()).json(&json!({"name": "Nino of Batumi"}));
        assert_eq!(renamed.send().await.unwrap().status(), 200);
        child.kill().await.unwrap();
    }
}
