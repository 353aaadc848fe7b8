//! The checker on documents that are right and documents that are wrong in one way.

use std::collections::BTreeMap;

use univrs_tofu::check::{Code, Schemas, check, check_project};

use crate::schemas::SCHEMAS;

const AWS: &str =
    r#""terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": "6.25.0"}}}"#;

/// What the checker says of a document with the AWS provider required and `rest` beside it.
fn findings(rest: &str) -> Vec<(Code, String)> {
    let document = format!("{{{AWS}, {rest}}}");
    let report = check(&SCHEMAS, [("main.tf.json", document.as_bytes())]);
    report.findings.into_iter().map(|finding| (finding.code, finding.path)).collect()
}

#[test]
fn right_documents_pass() {
    for rest in [
        r#""resource": {"aws_vpc": {"main": {"cidr_block": "10.0.0.0/16", "tags": {"a": "b"}}}}"#,
        r#""resource": {"aws_vpc": {"main": {"cidr_block": "10.0.0.0/16", "enable_dns_support": "true"}},
            "aws_subnet": {"a": {"vpc_id": "${aws_vpc.main.id}", "cidr_block": "${var.range}", "lifecycle": {"prevent_destroy": true}}}},
            "variable": {"range": {"type": "string"}}"#,
        r#""resource": {"aws_subnet": {"a": {"for_each": "${local.zones}", "vpc_id": "${each.value}"}}},
            "locals": {"zones": {"a": "x"}}, "output": {"ids": {"value": "${[for s in aws_subnet.a : s.id]}"}}"#,
        r#""resource": {"aws_instance": {"m": {"ami": "${data.aws_ami.d.id}", "root_block_device": {"volume_size": "50"},
            "depends_on": ["aws_vpc.main"]}}, "aws_vpc": {"main": {}}},
            "data": {"aws_ami": {"d": {"owners": ["x"], "filter": [{"name": "n", "values": ["v"]}]}}}"#,
        r#""resource": {"aws_instance": {"m": {"dynamic": {"ebs_block_device": {"for_each": [], "content": {"device_name": "a"}}}, "//": "a note"}}}"#,
        r#""resource": {"aws_kms_key": {"k": {"description": "literal $${not.one}", "rotation_period_in_days": 90}}}"#,
        r#""provider": {"aws": [{"region": "us-east-1"}, {"alias": "west", "region": "us-west-2"}]}"#,
    ] {
        assert_eq!(findings(rest), vec![], "{rest}");
    }
}

#[test]
fn every_kind_of_fault_is_found_where_it_is() {
    for (rest, code, path) in [
        (
            r#""resource": {"aws_vpc": {"m": {"cidr": "10.0.0.0/16"}}}"#,
            Code::UnknownArgument,
            "aws_vpc.m.cidr",
        ),
        (
            r#""resource": {"aws_vpc": {"m": {"lifecycle": {"ignore_changes": ["tag"]}}}}"#,
            Code::UnknownArgument,
            "aws_vpc.m.lifecycle.ignore_changes",
        ),
        (r#""resource": {"aws_subnet": {"m": {}}}"#, Code::MissingArgument, "aws_subnet.m"),
        (r#""resource": {"aws_subnet": {"m": {"vpc_id": null}}}"#, Code::MissingArgument, "aws_subnet.m"),
        (
            r#""resource": {"aws_vpc": {"m": {"enable_dns_support": "yes"}}}"#,
            Code::WrongType,
            "aws_vpc.m.enable_dns_support",
        ),
        (r#""resource": {"aws_vpc": {"m": {"tags": ["a"]}}}"#, Code::WrongType, "aws_vpc.m.tags"),
        (
            r#""resource": {"aws_kms_key": {"m": {"deletion_window_in_days": "a week"}}}"#,
            Code::WrongType,
            "aws_kms_key.m.deletion_window_in_days",
        ),
        (r#""resource": {"aws_lb": {"m": {"subnets": "a"}}}"#, Code::WrongType, "aws_lb.m.subnets"),
        (r#""resource": {"aws_vpc": {"m": {"arn": "x"}}}"#, Code::ComputedOnly, "aws_vpc.m.arn"),
        (
            r#""resource": {"aws_instance": {"m": {"root_block_device": [{}, {}]}}}"#,
            Code::TooManyBlocks,
            "aws_instance.m.root_block_device",
        ),
        (
            r#""resource": {"aws_instance": {"m": {"root_block_device": "${var.x}"}}}, "variable": {"x": {}}"#,
            Code::WrongType,
            "aws_instance.m.root_block_device",
        ),
        (
            r#""resource": {"aws_s3_bucket_versioning": {"m": {"bucket": "b"}}}"#,
            Code::MissingBlock,
            "aws_s3_bucket_versioning.m",
        ),
        (
            r#""resource": {"aws_s3_bucket_versioning": {"m": {"bucket": "b", "versioning_configuration": {}}}}"#,
            Code::MissingArgument,
            "aws_s3_bucket_versioning.m.versioning_configuration",
        ),
        (
            r#""resource": {"aws_security_group": {"m": {"ingress": [{"from_port": 1}]}}}"#,
            Code::MissingArgument,
            "aws_security_group.m.ingress[0]",
        ),
        (
            r#""resource": {"aws_instance": {"m": {"dynamic": {"disk": {"for_each": []}}}}}"#,
            Code::UnknownArgument,
            "aws_instance.m.dynamic.disk",
        ),
        (
            r#""resource": {"aws_subnet": {"m": {"vpc_id": "${aws_vpc.gone.id}"}}}"#,
            Code::UndeclaredReference,
            "aws_subnet.m.vpc_id",
        ),
        (
            r#""resource": {"aws_subnet": {"m": {"vpc_id": "${data.aws_vpc.gone.id}"}}}"#,
            Code::UndeclaredReference,
            "aws_subnet.m.vpc_id",
        ),
        (
            r#""resource": {"aws_subnet": {"m": {"vpc_id": "${var.gone}"}}}"#,
            Code::UndeclaredReference,
            "aws_subnet.m.vpc_id",
        ),
        (
            r#""resource": {"aws_subnet": {"m": {"vpc_id": "${local.gone}"}}}"#,
            Code::UndeclaredReference,
            "aws_subnet.m.vpc_id",
        ),
        (
            r#""resource": {"aws_subnet": {"m": {"vpc_id": "${gone}"}}}"#,
            Code::UndeclaredReference,
            "aws_subnet.m.vpc_id",
        ),
        (
            r#""resource": {"aws_vpc": {"m": {"depends_on": ["aws_vpc.gone"]}}}"#,
            Code::UndeclaredReference,
            "aws_vpc.m.depends_on",
        ),
        (r#""output": {"o": {"value": "${aws_vpc.gone.id}"}}"#, Code::UndeclaredReference, "output.o.value"),
        (
            r#""resource": {"aws_vpc": {"m": {}}}, "output": {"o": {"value": "${aws_vpc.m.ip}"}}"#,
            Code::UnknownAttribute,
            "output.o.value",
        ),
        (r#""output": {"o": {"value": "${aws_vpc.m.id"}}"#, Code::InvalidExpression, "output.o.value"),
        (r#""output": {"o": {"value": "${nonsense(1)}"}}"#, Code::InvalidExpression, "output.o.value"),
        (r#""variable": {"v": {"default": "${local.x}"}}"#, Code::InvalidExpression, "variable.v.default"),
        (
            r#""variable": {"v": {"description": "${local.x}"}}"#,
            Code::InvalidExpression,
            "variable.v.description",
        ),
        (r#""variable": {"v": "text"}"#, Code::BadDocument, "variable.v"),
        (
            r#""resource": {"aws_vpc": {"m": null}}, "output": {"o": {"value": "${aws_vpc.m.id}"}}"#,
            Code::UndeclaredReference,
            "output.o.value",
        ),
        (
            r#""resource": {"aws_vpc": {"m": {"cidr_block": "a", "cidr_block": "b"}}}"#,
            Code::DuplicateKey,
            "resource.aws_vpc.m.cidr_block",
        ),
        (r#""resource": {"aws_vpc": {"1m": {}}}"#, Code::BadDeclaration, "aws_vpc.1m"),
        (
            r#""resource": [{"aws_vpc": {"m": {}}}, {"aws_vpc": {"m": {}}}]"#,
            Code::BadDeclaration,
            "aws_vpc.m",
        ),
        (r#""resources": {}"#, Code::UnknownTopLevel, "main.tf.json: resources"),
        (
            r#""resource": {"hcloud_ssh_key": {"m": {"name": "a", "public_key": "b"}}}"#,
            Code::WrongProvider,
            "terraform.required_providers",
        ),
        (r#""resource": {"aws_vpcs": {"m": {}}}"#, Code::Unchecked, "aws_vpcs.m"),
        (r#""provider": {"aws": {"zone": "a"}}"#, Code::UnknownArgument, "provider.aws.zone"),
    ] {
        assert_eq!(findings(rest), vec![(code, path.to_owned())], "{rest}");
    }
}

#[test]
fn a_suggestion_names_the_likeliest_word() {
    let document = format!(r#"{{{AWS}, "resource": {{"aws_vpc": {{"m": {{"cidr_blok": "x"}}}}}}}}"#);
    let report = check(&SCHEMAS, [("main.tf.json", document.as_bytes())]);
    assert!(report.findings[0].message.contains("did you mean `cidr_block`?"), "{}", report.findings[0]);
}

#[test]
fn the_wrong_source_of_a_provider_is_found() {
    let document = br#"{"terraform": {"required_providers": {"oci": {"source": "hashicorp/oci"}}},
        "resource": {"oci_core_vcn": {"m": {"compartment_id": "x"}}}}"#;
    let report = check(&SCHEMAS, [("main.tf.json", document.as_slice())]);
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].code, Code::WrongProvider);
}

#[test]
fn what_is_no_object_is_refused_and_not_passed_over() {
    for text in ["", "[]", "{", "{} {}", "\u{feff}{}"] {
        let report = check(&SCHEMAS, [("main.tf.json", text.as_bytes())]);
        assert_eq!(report.findings[0].code, Code::BadDocument, "{text:?}");
    }
}

#[test]
fn outputs_of_other_roots_must_exist() {
    let reader = r#"{"data": {"terraform_remote_state": {"aws_a": {"backend": "local"}}},
        "output": {"x": {"value": "${data.terraform_remote_state.aws_a.outputs.WANTED}"}}}"#;
    let written = br#"{"output": {"address": {"value": 1}}}"#.to_vec();
    for (wanted, faults) in [("address", 0), ("name", 1)] {
        let files = BTreeMap::from([
            ("aws-a/main.tf.json".to_owned(), written.clone()),
            ("dns/main.tf.json".to_owned(), reader.replace("WANTED", wanted).into_bytes()),
        ]);
        assert_eq!(check_project(&SCHEMAS, &files).errors().count(), faults, "{wanted}");
    }
}

#[test]
fn malformed_schemas_are_refused_with_the_place() {
    for (text, place) in [
        ("{", "JSON"),
        (r#"{"providers": []}"#, "providers"),
        (
            r#"{"providers": {"a": {"source": "x/a", "resources": {"a_b": {"attrs": {"c": "q string"}}}}}}"#,
            "a_b.c",
        ),
        (
            r#"{"providers": {"a": {"source": "x/a", "resources": {"a_b": {"attrs": {"c": "o heap(string)"}}}}}}"#,
            "a_b.c",
        ),
    ] {
        let error = Schemas::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{text}: {error}");
    }
}
