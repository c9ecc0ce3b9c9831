//! The house a life is lived in: its numbers, its agent, its customers, and the store.

use tandem::model::directory::{Agent, Number, Plan, Platform, Switches};
use tandem::model::id::{AgentId, NumberId};
use tandem::model::phone::Phone;
use tandem::model::reason::{Presence, Role};
use tandem::model::time::Timestamp;
use tandem::store::{CustomerIdentity, Store};

use super::World;
use crate::reference::Reference;
use crate::steps::{CUSTOMERS, NUMBERS};
use crate::terms::{START, terms};

impl World {
    pub(crate) async fn new(server: &str) -> Self {
        // Half a life is waiting for the disk otherwise; nothing here is about power cuts.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let url = if server.is_empty() { String::new() } else { database(server).await };
        let store = open(&url, dir.path()).await;
        for n in 0..NUMBERS {
            store.put_number(&number(n), None).await.unwrap();
        }
        store.put_agent(&agent()).await.unwrap();
        let mut contacts = Vec::new();
        for phone in ["995555010200", "4915123456789"].into_iter().take(CUSTOMERS) {
            let identity =
                CustomerIdentity { phone: Some(Phone::parse(phone).unwrap()), ..CustomerIdentity::default() };
            let mut contact = store.identify(&identity, at(START)).await.unwrap();
            contact.assignee_id = Some(agent().id);
            store.put_contact(&contact).await.unwrap();
            contacts.push(contact);
        }
        Self {
            dir,
            url,
            store,
            reference: Reference::default(),
            now: START,
            contacts,
            requests: Vec::new(),
            unnamed: Vec::new(),
            under_way: Vec::new(),
            arrived: Vec::new(),
            records: Vec::new(),
            running: Vec::new(),
            ended: Vec::new(),
            lost: Vec::new(),
            names: 0,
            touched: None,
            noted: Ok(()),
        }
    }
}

pub(super) async fn open(url: &str, dir: &std::path::Path) -> Store {
    let store = Store::open(url, dir).await.unwrap();
    store.set_terms(terms());
    store
}

async fn database(server: &str) -> String {
    use sqlx::Connection;
    let name = format!("life_{}", uuid::Uuid::now_v7().simple());
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let (head, _) = server.rsplit_once('/').unwrap();
    format!("{head}/{name}")
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn number(n: usize) -> Number {
    Number {
        id: NumberId::parse(&format!("10000000000000{n}")).unwrap(),
        display_phone_number: Phone::parse(&format!("+99532200011{n}")).unwrap(),
        plan: Plan::Advanced,
        add_ons: Vec::new(),
        messaging_limit: 2_000,
        platform: Platform::CloudApi,
        graph_token_set: false,
        record: None,
        keep_recordings_days: None,
    }
}

pub(crate) fn agent() -> Agent {
    Agent {
        id: AgentId::parse("agt_a").unwrap(),
        name: "Ana".to_owned(),
        email: None,
        role: Role::Teammate,
        team_id: None,
        excluded: false,
        switches: Switches::default(),
        status: Presence::Offline,
    }
}
