"""csched policy keygen, sign and verify: so that the daemon applies the rules that were approved and no others."""

from pathlib import Path

import click

from csched.cli.output import Output, output_options
from csched.clock import SystemClock, format_instant
from csched.report.rendering import Pairs, Rendered

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE", type=_PATH)
@output_options
def keygen(output: Output, file: Path) -> None:
    """Make a pair of ed25519 keys: FILE, private and for you alone, and FILE.pub for those who verify.

    \b
    Example:
      csched policy keygen policy.key
    """
    from csched.keys import generate_key, key_id, read_private_key

    public_file = generate_key(file)
    name = key_id(read_private_key(file).public_key())
    document = {"key_id": name, "private": str(file), "public": str(public_file)}
    said = f"Key {name}: keep {file} to yourself, give {public_file} to the daemon as policy_keys"
    output.show(Rendered(document, [name], [said]))


@click.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--key", "key_file", required=True, type=_PATH, help="The private key's file.")
@click.option("--serial", type=click.IntRange(min=1), help="Default: one more than the manifest in DIR has.")
@output_options
def sign(output: Output, folder: Path, key_file: Path, serial: int | None) -> None:
    """Write MANIFEST.json and MANIFEST.sig into DIR; the rules must load. Whatever changes later needs a new signature.

    \b
    Example:
      csched policy check my-policies && csched policy sign my-policies --key policy.key
    """
    from csched.keys import read_private_key
    from csched_policies.manifest import sign as write_manifest

    manifest = write_manifest(folder, read_private_key(key_file), SystemClock().now(), serial)
    document = manifest.model_dump(mode="json", by_alias=True)
    said = f"Signed {len(manifest.files)} files of {folder} as serial {manifest.serial} with key {manifest.key_id}"
    output.show(Rendered(document, [manifest.serial], [said]))


@click.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--trust", "trust_file", required=True, type=_PATH, help="PEM file of the public keys you trust.")
@output_options
def verify(output: Output, folder: Path, trust_file: Path) -> None:
    """Say whether DIR is exactly what one of the trusted keys has signed, and loads; exit code 3 where it is not.

    \b
    Example:
      csched policy verify my-policies --trust policy.key.pub
    """
    from csched.keys import read_trust
    from csched_policies.load import load_texts
    from csched_policies.manifest import read_signed

    signed = read_signed(folder, read_trust(trust_file))
    policies = load_texts(signed.texts, None, folder)
    manifest = signed.manifest
    document = {
        "serial": manifest.serial,
        "signed_at": format_instant(manifest.signed_at),
        "key_id": manifest.key_id,
        "files": len(manifest.files),
        "manifest_sha256": signed.manifest_sha256,
        "digest": policies.digest,
    }
    rows = [(name, str(value)) for name, value in document.items()]
    output.show(Rendered(document, [policies.digest], [Pairs(rows), "Whole, unchanged and signed by a trusted key"]))
