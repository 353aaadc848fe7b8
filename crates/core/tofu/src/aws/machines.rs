//! Single machines and autoscaled groups.

use univrs_topology::catalogue::Arch;
use univrs_topology::plan::{Group, Machine};
use univrs_topology::spec::{Host, Purchase, ServiceKind};

use super::balancer::target_groups;
use super::network::{named, subnet_ids, tag_block};
use crate::cloud_init;
use crate::emission::Gaps;
use crate::quantity::gib;
use crate::site::{Scaled, Site, services_of};
use crate::tf::{Expr, Object, Ref, Resource, Root, Section, Value, key};

/// Who may become the machines' role.
const EC2_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

pub(super) fn emit(site: Site<'_>, root: &mut Root, gaps: &mut Gaps) {
    if site.region.machines.is_empty() {
        return;
    }
    let ssh = site.ssh_key(root);
    root.add(
        Section::Machines,
        Resource::new("aws_key_pair", "main")
            .set("key_name", site.regional("admin", 255))
            .set("public_key", ssh)
            .set("tags", named(site, "admin")),
    );
    identity(site, root);
    for group in &site.region.groups {
        if group.host == Host::ContainerGroup {
            gaps.no_container_groups(site, group);
            continue;
        }
        let Some(kind) = gaps.machine_type(site, group) else { continue };
        let members = site.members(group);
        for machine in members.single {
            single(site, root, group, kind, machine);
        }
        if let Some(scaled) = members.scaled {
            autoscaled(site, root, group, kind, scaled);
        }
    }
}

/// What the machines may do: write to the region's logs and use its buckets, nothing else.
fn identity(site: Site<'_>, root: &mut Root) {
    let role = root.add(
        Section::Machines,
        Resource::new("aws_iam_role", "machine")
            .set("name", site.regional("machine", 64))
            .set("assume_role_policy", EC2_TRUST)
            .set("tags", named(site, "machine")),
    );
    root.add(
        Section::Machines,
        Resource::new("aws_iam_instance_profile", "machine")
            .set("name", site.regional("machine", 128))
            .set("role", role.attr("name"))
            .set("tags", named(site, "machine")),
    );
    let statements: Vec<Value> =
        services_of(site).flat_map(|service| statements(service.kind, &service.name)).collect();
    if !statements.is_empty() {
        let policy = root.local(
            Section::Machines,
            "machine_policy",
            Object::new().set("Version", "2012-10-17").set("Statement", Value::List(statements)),
        );
        root.add(
            Section::Machines,
            Resource::new("aws_iam_role_policy", "machine")
                .set("name", site.regional("machine", 128))
                .set("role", role.id())
                .set("policy", Expr::new(format!("jsonencode({})", policy.text()))),
        );
    }
}

fn statements(kind: ServiceKind, name: &str) -> Vec<Value> {
    let allow = |actions: &[&str], resources: Vec<Value>| {
        Object::new()
            .set("Effect", "Allow")
            .set("Action", Value::list(actions.iter().copied()))
            .set("Resource", Value::List(resources))
            .into()
    };
    let arn = |kind: &str| Ref::to(kind, key(name)).attr("arn");
    match kind {
        ServiceKind::Logs => {
            let streams = Value::join([arn("aws_cloudwatch_log_group").into(), ":*".into()]);
            vec![allow(
                &["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                vec![streams],
            )]
        }
        ServiceKind::ObjectStorage => {
            let objects = Value::join([arn("aws_s3_bucket").into(), "/*".into()]);
            vec![
                allow(&["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], vec![objects]),
                allow(&["s3:ListBucket"], vec![arn("aws_s3_bucket").into()]),
            ]
        }
        ServiceKind::Keys => vec![allow(
            &["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
            vec![arn("aws_kms_key").into()],
        )],
        ServiceKind::Postgres | ServiceKind::Redis | ServiceKind::LoadBalancer => Vec::new(),
    }
}

/// Debian's newest image of the architecture.
fn image(root: &mut Root, group: &Group) -> Expr {
    let arch = match group.arch {
        Some(Arch::Arm64) => "arm64",
        Some(Arch::X86_64) | None => "amd64",
    };
    root.add(
        Section::Machines,
        Resource::data("aws_ssm_parameter", format!("debian_{arch}"))
            .set("name", format!("/aws/service/debian/release/12/latest/{arch}")),
    )
    .attr("value")
}

fn single(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, machine: &Machine) {
    let name = key(&machine.name);
    let mut tags = site.role_tags(group.role.as_str());
    tags.insert("Name".to_owned(), site.name(&machine.name, 255));
    let disk = Object::new()
        .set("volume_type", "gp3")
        .set("encrypted", true)
        .set("delete_on_termination", true)
        .maybe("volume_size", group.disk.map(gib));
    let image = image(root, group);
    let user_data = cloud_init::of_machine(site, root, group, machine);
    let body = Resource::new("aws_instance", &name)
        .set("ami", image)
        .set("instance_type", kind)
        .set("subnet_id", Ref::to("aws_subnet", key(&machine.subnet)).id())
        .set("private_ip", machine.address.to_string())
        .set("associate_public_ip_address", machine.public_ip)
        .set("source_dest_check", !site.is_router(machine))
        .set("vpc_security_group_ids", security_groups(group))
        .set("key_name", Ref::to("aws_key_pair", "main").attr("key_name"))
        .set("iam_instance_profile", Ref::to("aws_iam_instance_profile", "machine").attr("name"))
        .set("user_data", user_data)
        .set("tags", tags.clone())
        .set("volume_tags", tags)
        .block("metadata_options", metadata_options())
        .block("root_block_device", disk)
        .blocks("instance_market_options", spot(group))
        // A newer image or a rotated token is no reason to replace a machine that holds state.
        .ignore_changes(&["ami", "user_data"]);
    let instance = root.add(Section::Machines, body);
    for (target, port, arn) in target_groups(site, group.role.as_str()) {
        root.add(
            Section::Services,
            Resource::new("aws_lb_target_group_attachment", format!("{target}_{name}"))
                .set("target_group_arn", arn)
                .set("target_id", instance.id())
                .set("port", port),
        );
    }
}

fn autoscaled(site: Site<'_>, root: &mut Root, group: &Group, kind: &str, scaled: Scaled) {
    let role = group.role.as_str();
    let name = key(role);
    let tags = site.role_tags(role);
    let launched = |what: &str| Object::new().set("resource_type", what).set("tags", tags.clone());
    let disk = Object::new().set("device_name", "/dev/xvda").block(
        "ebs",
        Object::new()
            .set("volume_type", "gp3")
            .set("encrypted", "true")
            .set("delete_on_termination", "true")
            .maybe("volume_size", group.disk.map(gib)),
    );
    let interface = Object::new()
        .set("associate_public_ip_address", if group.public_ip { "true" } else { "false" })
        .set("security_groups", security_groups(group));
    let image = image(root, group);
    let user_data = cloud_init::of_group(site, root, group);
    let user_data = root.local(Section::Machines, &format!("user_data_{name}"), user_data);
    let template = root.add(
        Section::Machines,
        Resource::new("aws_launch_template", &name)
            .set("name", site.regional(role, 128))
            .set("image_id", image)
            .set("instance_type", kind)
            .set("key_name", Ref::to("aws_key_pair", "main").attr("key_name"))
            .set("user_data", Expr::new(format!("base64encode({})", user_data.text())))
            .set("update_default_version", true)
            .set("tags", named(site, role))
            .block(
                "iam_instance_profile",
                Object::new().set("name", Ref::to("aws_iam_instance_profile", "machine").attr("name")),
            )
            .block("metadata_options", metadata_options())
            .block("block_device_mappings", disk)
            .block("network_interfaces", interface)
            .blocks("instance_market_options", spot(group))
            .blocks("tag_specifications", ["instance", "volume"].map(launched)),
    );
    let targets: Vec<Expr> = target_groups(site, role).into_iter().map(|(_, _, arn)| arn).collect();
    let subnets = site.subnets_of(group);
    let asg = root.add(
        Section::Machines,
        Resource::new("aws_autoscaling_group", &name)
            .set("name", site.regional(role, 255))
            .set("min_size", scaled.least)
            .set("max_size", scaled.most)
            .set("desired_capacity", scaled.now)
            .set("vpc_zone_identifier", subnet_ids(subnets.iter().map(|subnet| subnet.name.as_str())))
            .set("health_check_type", if targets.is_empty() { "EC2" } else { "ELB" })
            .set("health_check_grace_period", 300_u32)
            .set("target_group_arns", Value::list(targets))
            .block(
                "launch_template",
                Object::new().set("id", template.id()).set("version", template.attr("latest_version")),
            )
            .block("instance_refresh", Object::new().set("strategy", "Rolling"))
            .blocks("tag", tags.iter().map(|(key, value)| tag_block(key, value)))
            // The policy below moves it.
            .ignore_changes(&["desired_capacity"]),
    );
    root.add(
        Section::Machines,
        Resource::new("aws_autoscaling_policy", &name)
            .set("name", site.regional(role, 255))
            .set("autoscaling_group_name", asg.attr("name"))
            .set("policy_type", "TargetTrackingScaling")
            .block(
                "target_tracking_configuration",
                Object::new().set("target_value", scaled.target_cpu * 100.0).block(
                    "predefined_metric_specification",
                    Object::new().set("predefined_metric_type", "ASGAverageCPUUtilization"),
                ),
            ),
    );
}

fn security_groups(group: &Group) -> Value {
    Value::list([Ref::to("aws_security_group", key(group.role.as_str())).id()])
}

/// Credentials only through sessions, so that a forged request cannot fetch them.
fn metadata_options() -> Object {
    Object::new().set("http_endpoint", "enabled").set("http_tokens", "required")
}

fn spot(group: &Group) -> Option<Object> {
    (group.purchase == Purchase::Spot).then(|| Object::new().set("market_type", "spot"))
}
