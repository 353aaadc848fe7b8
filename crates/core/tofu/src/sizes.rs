//! Sizes of managed services at each provider: the smallest that holds what the file asks for.

use univrs_model::quantity::{Bytes, Cpu};

use crate::quantity::{cpus, gib};

/// The version of PostgreSQL when the file names none.
pub(crate) const POSTGRES_VERSION: &str = "16";
/// The first database.
pub(crate) const DATABASE_NAME: &str = "univrs";
/// Its owner.
pub(crate) const DATABASE_USER: &str = "univrs";

const MIB: u64 = 1024 * 1024;

/// RDS instance class for processors and memory; two processors and 8 GiB when nothing is asked for.
///
/// `r6g` has 8 GiB for each processor, `m6g` has 4; `t4g.medium` has 2 processors and 4 GiB.
pub(crate) fn rds(vcpu: Option<Cpu>, memory: Option<Bytes>) -> String {
    let (vcpu, memory) = (vcpu.map_or(2, cpus).max(1), memory.map_or(8, gib));
    if vcpu <= 2 && memory <= 4 {
        return "db.t4g.medium".to_owned();
    }
    let (family, each) = if memory > vcpu * 4 { ("r6g", 8) } else { ("m6g", 4) };
    let needed = vcpu.max(memory.div_ceil(each));
    let sizes =
        [(2, "large"), (4, "xlarge"), (8, "2xlarge"), (16, "4xlarge"), (32, "8xlarge"), (48, "12xlarge")];
    let size = sizes.iter().find(|(cpus, _)| *cpus >= needed).map_or("16xlarge", |(_, size)| size);
    format!("db.{family}.{size}")
}

/// ElastiCache node type by memory that data can use, in MiB.
pub(crate) fn elasticache(memory: Option<Bytes>) -> String {
    const TYPES: &[(u64, &str)] = &[
        (512, "cache.t4g.micro"),
        (1403, "cache.t4g.small"),
        (3164, "cache.t4g.medium"),
        (13384, "cache.r6g.large"),
        (26952, "cache.r6g.xlarge"),
        (54088, "cache.r6g.2xlarge"),
        (108_349, "cache.r6g.4xlarge"),
        (214_579, "cache.r6g.8xlarge"),
        (325_396, "cache.r6g.12xlarge"),
    ];
    let needed = memory.map_or(1024, |memory| memory.get().div_ceil(MIB));
    TYPES.iter().find(|(has, _)| *has >= needed).map_or("cache.r6g.16xlarge", |(_, kind)| kind).to_owned()
}

/// SKU of an Azure flexible server.
///
/// `Standard_E*ds_v5` has 8 GiB for each processor, `Standard_D*ds_v5` has 4; `B_Standard_B2s` has 2 and 4 GiB and
/// cannot be made to fail over.
pub(crate) fn azure_postgres(vcpu: Option<Cpu>, memory: Option<Bytes>, fails_over: bool) -> String {
    let (vcpu, memory) = (vcpu.map_or(2, cpus).max(1), memory.map_or(8, gib));
    if vcpu <= 2 && memory <= 4 && !fails_over {
        return "B_Standard_B2s".to_owned();
    }
    let (tier, family, each) = if memory > vcpu * 4 { ("MO", 'E', 8) } else { ("GP", 'D', 4) };
    let needed = vcpu.max(memory.div_ceil(each));
    let size = [2, 4, 8, 16, 32, 48, 64].into_iter().find(|cpus| *cpus >= needed).unwrap_or(96);
    format!("{tier}_Standard_{family}{size}ds_v5")
}

/// Storage of an Azure flexible server in MiB: it comes in steps.
pub(crate) fn azure_postgres_storage(storage: Option<Bytes>) -> u64 {
    let needed = storage.map_or(32, gib);
    let steps = [32, 64, 128, 256, 512, 1024, 2048, 4095, 8192, 16384];
    steps.into_iter().find(|step| *step >= needed).unwrap_or(32767) * 1024
}

/// Azure Cache for Redis: family, capacity and SKU by memory and replicas.
///
/// Premium comes in 6, 13, 26, 53 and 120 GiB and can have replicas in other zones; Standard always has one replica,
/// Basic has none.
pub(crate) fn azure_redis(memory: Option<Bytes>, replicas: u32) -> (&'static str, u32, &'static str) {
    let needed = memory.map_or(1, gib);
    let place = |steps: &[u64]| steps.iter().position(|step| *step >= needed);
    let small = [0, 1, 3, 6, 13, 26, 53];
    let premium = [6, 13, 26, 53, 120];
    match (replicas, place(&small)) {
        (0, Some(capacity)) => ("C", u32::try_from(capacity).unwrap_or(0), "Basic"),
        _ => {
            let capacity = place(&premium).unwrap_or(premium.len() - 1) + 1;
            ("P", u32::try_from(capacity).unwrap_or(1), "Premium")
        }
    }
}

/// Cloud SQL machine type: custom sizes have an even number of processors and 0.9 to 6.5 GiB for each.
pub(crate) fn cloud_sql(vcpu: Option<Cpu>, memory: Option<Bytes>) -> String {
    let memory = memory.map_or(8, gib).max(4);
    let wanted = vcpu.map_or(2, cpus).max(memory.saturating_mul(2).div_ceil(13));
    let cpus = if wanted <= 1 { 1 } else { wanted.div_ceil(2) * 2 };
    format!("db-custom-{cpus}-{}", memory * 1024)
}

/// DigitalOcean database size by processors and memory.
pub(crate) fn digitalocean_database(vcpu: Option<Cpu>, memory: Option<Bytes>) -> String {
    const SIZES: &[(u64, u64, &str)] = &[
        (1, 1, "db-s-1vcpu-1gb"),
        (1, 2, "db-s-1vcpu-2gb"),
        (2, 4, "db-s-2vcpu-4gb"),
        (4, 8, "db-s-4vcpu-8gb"),
        (6, 16, "db-s-6vcpu-16gb"),
        (8, 32, "db-s-8vcpu-32gb"),
    ];
    let (vcpu, memory) = (vcpu.map_or(1, cpus), memory.map_or(1, gib));
    SIZES
        .iter()
        .find(|(cpus, gib, _)| *cpus >= vcpu && *gib >= memory)
        .map_or("db-s-16vcpu-64gb", |(_, _, size)| size)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(count: u64) -> Option<Cpu> {
        Some(Cpu::millicores(count * 1000))
    }

    fn gib(count: u64) -> Option<Bytes> {
        Some(Bytes::mebibytes(count * 1024))
    }

    #[test]
    fn the_smallest_size_that_holds_it() {
        for (vcpu, memory, rds_class, azure, google, ocean) in [
            (4, 32, "db.r6g.xlarge", "MO_Standard_E4ds_v5", "db-custom-6-32768", "db-s-8vcpu-32gb"),
            (2, 8, "db.m6g.large", "GP_Standard_D2ds_v5", "db-custom-2-8192", "db-s-4vcpu-8gb"),
            (1, 2, "db.t4g.medium", "GP_Standard_D2ds_v5", "db-custom-1-4096", "db-s-1vcpu-2gb"),
            (16, 64, "db.m6g.4xlarge", "GP_Standard_D16ds_v5", "db-custom-16-65536", "db-s-16vcpu-64gb"),
        ] {
            assert_eq!(rds(cpu(vcpu), gib(memory)), rds_class);
            assert_eq!(azure_postgres(cpu(vcpu), gib(memory), true), azure);
            assert_eq!(cloud_sql(cpu(vcpu), gib(memory)), google);
            assert_eq!(digitalocean_database(cpu(vcpu), gib(memory)), ocean);
        }
        assert_eq!(elasticache(gib(13)), "cache.r6g.large");
        assert_eq!(azure_redis(gib(13), 1), ("P", 2, "Premium"));
        assert_eq!(azure_redis(gib(3), 0), ("C", 2, "Basic"));
        assert_eq!(azure_postgres_storage(gib(512)), 512 * 1024);
    }
}
