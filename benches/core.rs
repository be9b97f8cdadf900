//! What the pure core costs: leaf, disclosures, seal, tree, proofs, signatures.

mod common;

use std::collections::HashMap;
use std::hint::black_box;

use common::{Failure, NAME, ORIGIN, event_json, read_event};
use criterion::{BatchSize, Criterion, Throughput};
use ed25519_dalek::SigningKey;
use whereas::keyring::{IdKey, Sameness, Sealed, Secret, open, seal};
use whereas::ledger::checkpoint::Checkpoint;
use whereas::ledger::disclosure::{Disclosures, SALT, decode, disclose, encode};
use whereas::ledger::note::NoteSigner;
use whereas::ledger::tree::{Frontier, NodeId, Nodes, inclusion, stored_count, stored_index};
use whereas::ledger::{CaseLink, Hash, Id16, Leaf, SpanId, Timestamp, proof};

/// Nodes in memory, in storage order.
struct Stored(Vec<Hash>);

impl Nodes for Stored {
    type Error = NodeId;
    fn node(&self, id: NodeId) -> Result<Hash, NodeId> {
        let at = usize::try_from(stored_index(id)).map_err(|_| id)?;
        self.0.get(at).copied().ok_or(id)
    }
}

/// A tree of `size` leaves: its nodes and its edge.
fn grow(size: u64) -> (Stored, Frontier) {
    let mut nodes = Vec::with_capacity(usize::try_from(stored_count(size)).unwrap_or(0));
    let mut frontier = Frontier::new();
    for i in 0..size {
        frontier.append(Hash::leaf(&i.to_be_bytes()), |_, hash| nodes.push(hash));
    }
    (Stored(nodes), frontier)
}

fn salts() -> impl FnMut() -> [u8; SALT] {
    let mut n = 0_u128;
    move || {
        n += 1;
        n.to_be_bytes()
    }
}

fn disclosures(json: &[u8]) -> Result<Disclosures, Failure> {
    let event = read_event(json)?;
    let members = event.members();
    Ok(disclose(
        members.iter().map(|(p, v)| (p.as_str(), *v)),
        salts(),
    ))
}

fn leaf(content: Option<Hash>) -> Leaf {
    let time = Timestamp::from_micros(1_772_400_000_123_456).unwrap_or(Timestamp::EPOCH);
    Leaf {
        ledger: ORIGIN.into(),
        seq: 123_456,
        prev: Hash::leaf(b"prev"),
        kind: "recommendation.drafted".into(),
        eid: Hash::leaf(b"eid"),
        case: Some(CaseLink {
            case: Id16([7; 16]),
            seq: 11,
            prev: Hash::leaf(b"case"),
        }),
        trace: Some(Id16([3; 16])),
        span: Some(SpanId([5; 8])),
        occurred: time,
        recorded: time,
        producer: Id16([9; 16]),
        content,
        fact: None,
    }
}

fn events(c: &mut Criterion) -> Result<(), Failure> {
    let json = event_json(1, 2);
    let event = read_event(&json)?;
    let disclosed = disclosures(&json)?;
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("parse and validate", |b| {
        b.iter(|| read_event(black_box(&json)))
    });
    group.bench_function("canonical form", |b| {
        b.iter(|| black_box(&event).canonical())
    });
    group.bench_function("ten disclosures", |b| {
        b.iter(|| {
            let members = black_box(&event).members();
            disclose(members.iter().map(|(p, v)| (p.as_str(), *v)), salts()).commitment()
        })
    });
    let texts: Vec<String> = disclosed.texts.iter().map(|t| encode(t)).collect();
    group.bench_function("read ten disclosures", |b| {
        b.iter(|| {
            texts
                .iter()
                .map(|t| decode(black_box(t)))
                .collect::<Result<Vec<_>, _>>()
        })
    });
    let key = IdKey::from_bytes([1; 32]);
    group.bench_function("identity", |b| {
        b.iter(|| key.eid(black_box(&event.source), black_box(&event.id)))
    });
    let secret = Secret::from_bytes([2; 32]);
    let (eid, content) = (key.eid(&event.source, &event.id), disclosed.commitment());
    let sealed = Sealed {
        sameness: Sameness([4; 32]),
        texts: disclosed.texts,
    };
    group.bench_function("seal", |b| {
        b.iter(|| {
            seal(
                &secret,
                [6; 24],
                ORIGIN,
                &eid,
                content.as_ref(),
                black_box(&sealed),
            )
        })
    });
    let blob = seal(&secret, [6; 24], ORIGIN, &eid, content.as_ref(), &sealed);
    if open(&secret, ORIGIN, &eid, content.as_ref(), &blob)? != sealed {
        return Err("what was sealed opens to something else".into());
    }
    group.bench_function("unseal", |b| {
        b.iter(|| open(&secret, ORIGIN, &eid, content.as_ref(), black_box(&blob)))
    });
    group.finish();
    Ok(())
}

fn leaves(c: &mut Criterion) -> Result<(), Failure> {
    let leaf = leaf(disclosures(&event_json(1, 2))?.commitment());
    let bytes = leaf.encode().into_bytes();
    if Leaf::decode(&bytes)? != leaf {
        return Err("the leaf reads back as another".into());
    }
    let mut group = c.benchmark_group("leaf");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |b| b.iter(|| black_box(&leaf).encode()));
    group.bench_function("decode", |b| b.iter(|| Leaf::decode(black_box(&bytes))));
    group.bench_function("hash", |b| b.iter(|| Hash::leaf(black_box(&bytes))));
    group.finish();
    Ok(())
}

fn trees(c: &mut Criterion) -> Result<(), Failure> {
    let mut group = c.benchmark_group("tree");
    group.throughput(Throughput::Elements(1_024));
    group.bench_function("append 1,024 leaf hashes", |b| {
        b.iter_batched(
            Frontier::new,
            |mut frontier| {
                let mut nodes = Vec::with_capacity(2_048);
                for i in 0..1_024_u64 {
                    let hash = Hash([u8::try_from(i % 256).unwrap_or(0); 32]);
                    frontier.append(hash, |id, hash| nodes.push((id, hash)));
                }
                (frontier.root(), nodes)
            },
            BatchSize::SmallInput,
        )
    });
    group.finish();
    let mut group = c.benchmark_group("proof");
    for size in [1_000, 1_000_000] {
        let (nodes, frontier) = grow(size);
        let (root, index) = (frontier.root(), size / 3);
        let leaf = Hash::leaf(&index.to_be_bytes());
        let path = inclusion(&nodes, index, size).map_err(|id| format!("no node {id:?}"))?;
        proof::verify_inclusion(&leaf, index, size, &path, &root)?;
        group.bench_function(format!("make, of {size} leaves"), |b| {
            let mut at = 0;
            b.iter(|| {
                at = (at + 7_919) % size;
                inclusion(&nodes, black_box(at), size)
            })
        });
        group.bench_function(format!("verify, of {size} leaves"), |b| {
            b.iter(|| proof::verify_inclusion(black_box(&leaf), index, size, &path, &root))
        });
    }
    // A commit proves its own entries from its edge alone.
    let (nodes, _) = grow(1_100);
    let mut edge: HashMap<NodeId, Hash> = Frontier::load(&nodes, 1_000)
        .map_err(|id| format!("no node {id:?}"))?
        .nodes()
        .collect();
    let mut frontier = Frontier::load(&nodes, 1_000).map_err(|id| format!("no node {id:?}"))?;
    for i in 1_000..1_100_u64 {
        frontier.append(Hash::leaf(&i.to_be_bytes()), |id, hash| {
            edge.insert(id, hash);
        });
    }
    group.bench_function("make, from the edge of a commit of 100", |b| {
        b.iter(|| inclusion(&edge, black_box(1_050), 1_100))
    });
    group.finish();
    Ok(())
}

fn checkpoints(c: &mut Criterion) -> Result<(), Failure> {
    let signer = NoteSigner::new(ORIGIN, SigningKey::from_bytes(&[8; 32]))
        .ok_or("the origin is not a key name")?;
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: 123_456,
        root: Hash::leaf(NAME.as_bytes()),
    };
    let note = checkpoint.sign(&signer);
    let keys = [signer.vkey().clone()];
    if Checkpoint::open(&note, ORIGIN, &keys)? != checkpoint {
        return Err("the checkpoint reads back as another".into());
    }
    let mut group = c.benchmark_group("checkpoint");
    group.bench_function("sign", |b| b.iter(|| black_box(&checkpoint).sign(&signer)));
    group.bench_function("verify", |b| {
        b.iter(|| Checkpoint::open(black_box(&note), ORIGIN, &keys))
    });
    group.finish();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut c = Criterion::default().configure_from_args();
    events(&mut c)?;
    leaves(&mut c)?;
    trees(&mut c)?;
    checkpoints(&mut c)?;
    c.final_summary();
    Ok(())
}
