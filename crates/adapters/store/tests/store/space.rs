//! A full disk: writes are refused, reads go on, and writes work again when there is space. One that fails, and one that
//! hangs.

use std::fs::File;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use univrs_ports::store::{ClusterAdmin, Consistency, Error, MemberId, StateStore, Txn};
use univrs_store::{FileSystemSpace, Loopback, Options, RaftStore, Space};

use crate::cluster::{same_state, three_in_process_of};
use crate::support::{PATIENCE, eventually, key, open_single, put, single};

/// A disk with so many bytes left.
struct Quota(AtomicU64);

impl Space for Quota {
    fn reserve(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let taken = self.0.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(length));
        taken.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        FileSystemSpace.reserve(file, offset, length)
    }
}

async fn fill(store: &RaftStore) -> u64 {
    for number in 0..500 {
        match store.txn(Txn::put(key(&format!("k{number:03}")), vec![1; 500_000])).await {
            Ok(_) => {}
            Err(Error::DiskFull) => return number,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk does not fill");
}

async fn check_reads(store: &RaftStore, written: u64) {
    for number in 0..written {
        let stored = store.get(&key(&format!("k{number:03}")), Consistency::Linearizable).await.unwrap();
        assert_eq!(stored.unwrap().value.len(), 500_000);
    }
    assert!(store.status().await.unwrap().disk_full && store.figures().disk_full);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_stop_and_go_with_the_space() {
    let dir = tempfile::tempdir().unwrap();
    let quota = Arc::new(Quota(AtomicU64::new(60 << 20)));
    let options = Options { space: Arc::<Quota>::clone(&quota), ..single(dir.path()) };
    let store = RaftStore::open(options).await.unwrap();
    let written = fill(&store).await;
    assert!(written > 20, "{written}");
    check_reads(&store, written).await;
    assert!(matches!(store.txn(Txn::put(key("more"), "x")).await, Err(Error::DiskFull)));
    quota.0.store(1 << 40, Ordering::SeqCst);
    eventually("writes go on", async || store.txn(Txn::put(key("more"), "x")).await.is_ok()).await;
    assert!(!store.status().await.unwrap().disk_full && !store.figures().disk_full);
    let digest = store.digest();
    store.close().await;
    drop(store);
    assert_eq!(open_single(dir.path()).await.digest(), digest);
}

/// The same on a real small file system; needs the right to mount one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_small_disk_behaves_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=80m", "univrs-test"]).arg(dir.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED without the right to mount a small disk");
        return;
    }
    let work = async {
        let ballast = dir.path().join("ballast");
        std::fs::write(&ballast, vec![0; 20 << 20]).unwrap();
        let root = dir.path().join("store");
        let store = open_single(&root).await;
        let written = fill(&store).await;
        check_reads(&store, written).await;
        std::fs::remove_file(&ballast).unwrap();
        eventually("writes go on", async || store.txn(Txn::put(key("more"), "x")).await.is_ok()).await;
        put(&store, "even more", vec![1; 100_000]).await;
        let digest = store.digest();
        store.close().await;
        drop(store);
        let store = open_single(&root).await;
        assert_eq!(store.digest(), digest);
        store.close().await;
    };
    let outcome = tokio::time::timeout(2 * PATIENCE, work).await;
    Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    outcome.unwrap();
}

/// A disk that fails when it is asked for more, after so many times.
struct Failing(AtomicU64);

impl Space for Failing {
    fn reserve(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let left = self.0.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| io::Error::other("the disk is broken"))?;
        FileSystemSpace.reserve(file, offset, length)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_breaks_says_so_and_one_that_is_closed_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let space = Arc::new(Failing(AtomicU64::new(5)));
    let store = RaftStore::open(Options { space: Arc::<Failing>::clone(&space), ..single(dir.path()) })
        .await
        .unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        match store.txn(Txn::put(key(&format!("k{acknowledged:03}")), vec![1; 500_000])).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Closed), "{refused}");
    let reason = tokio::time::timeout(PATIENCE, store.broken()).await.unwrap();
    assert!(reason.contains("the disk is broken"), "{reason}");
    store.close().await;
    drop(store);

    let store = open_single(dir.path()).await;
    for number in 0..acknowledged {
        let stored = store.get(&key(&format!("k{number:03}")), Consistency::LOCAL).await.unwrap();
        assert_eq!(stored.unwrap().value.len(), 500_000);
    }
    let closing = async {
        store.close().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        biased;
        reason = store.broken() => panic!("it was closed, and says: {reason}"),
        () = closing => {}
    }
}

/// A disk that does not answer while it hangs.
#[derive(Default)]
struct Hanging {
    hangs: AtomicBool,
    /// How often it was waited for.
    waited: AtomicU64,
}

impl Space for Hanging {
    fn reserve(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        while self.hangs.load(Ordering::SeqCst) {
            self.waited.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(10));
        }
        FileSystemSpace.reserve(file, offset, length)
    }
}

/// Lets the disk answer again in the end, whatever becomes of the test: closing a store waits for its log.
struct Answers(Arc<Hanging>);

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.hangs.store(false, Ordering::SeqCst);
    }
}

/// Three members, of which the first has a disk that hangs when it is told to.
async fn three_with_one_that_hangs() -> (Vec<RaftStore>, Vec<TempDir>, Arc<Hanging>) {
    let disk = Arc::new(Hanging::default());
    let (stores, dirs) = three_in_process_of(&Loopback::default(), |options| {
        options.request_timeout = PATIENCE;
        if options.node_id == MemberId(1) {
            options.space = Arc::<Hanging>::clone(&disk);
        }
    })
    .await;
    (stores, dirs, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_disk_hangs_the_others_decide() {
    let (stores, _dirs, disk) = three_with_one_that_hangs().await;
    let answers = Answers(Arc::clone(&disk));
    disk.hangs.store(true, Ordering::SeqCst);
    // Far more than it has room for, whoever leads; less than would be too much for its memory.
    for number in 0..12_u8 {
        put(&stores[usize::from(number % 2)], "k", vec![number; 1_000_000]).await;
    }
    let read = stores[0].get(&key("k"), Consistency::Linearizable).await.unwrap().unwrap();
    assert_eq!(read.value[0], 11);
    assert!(disk.waited.load(Ordering::SeqCst) > 0, "nobody waited for the disk");
    drop(answers);
    same_state(&[&stores[0], &stores[1], &stores[2]]).await;
}

/// What waits for the disk is held in memory, and the others would go on storing it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_takes_in_so_much_and_lets_another_lead() {
    let (stores, _dirs, disk) = three_with_one_that_hangs().await;
    eventually("the first leads", async || {
        let leader = stores[0].status().await.unwrap().leader;
        match leader.and_then(|leader| stores.iter().find(|store| store.member_id() == leader)) {
            Some(store) if store.member_id() != MemberId(1) => {
                // An election may come between.
                let _refused = store.transfer_leader(MemberId(1)).await;
                false
            }
            leader => leader.is_some(),
        }
    })
    .await;
    let answers = Answers(Arc::clone(&disk));
    disk.hangs.store(true, Ordering::SeqCst);

    let mut taken = 0;
    let refused = loop {
        // Not the store's own patience: a leader that refuses is asked again for as long as that.
        let write = stores[0].txn(Txn::put(key("k"), vec![1; 1_000_000]));
        match tokio::time::timeout(Duration::from_secs(2), write).await {
            Ok(Ok(_)) => taken += 1,
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => break stores[0].status().await.unwrap(),
        }
        assert!(taken < 1_000, "it takes in all there is");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(taken >= 16 && refused.disk_hangs && !refused.disk_full, "{taken} taken in, {refused:?}");

    // It cannot note by itself who leads then: that needs its disk.
    let hand_over = tokio::time::timeout(Duration::from_secs(2), stores[0].transfer_leader(MemberId(2)));
    let write = tokio::time::timeout(PATIENCE, put(&stores[2], "k", "2"));
    let (_unheard, written) = tokio::join!(hand_over, write);
    written.expect("the others are to decide");
    drop(answers);
    same_state(&[&stores[0], &stores[1], &stores[2]]).await;
    eventually("its disk answers", async || !stores[0].status().await.unwrap().disk_hangs).await;
}
