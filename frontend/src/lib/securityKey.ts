import { Problem } from "../api/client";

/** A security key under the browser's own hand (WebAuthn). What goes in and comes out is JSON, as the portal has it. */
type Json = Record<string, unknown>;

/** Have a new key made for this portal. */
export function newKey(options: Json): Promise<Json> {
  return withKey(async () => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
      options as unknown as PublicKeyCredentialCreationOptionsJSON,
    );
    return navigator.credentials.create({ publicKey });
  });
}

/** Have one of the keys answer. */
export function keyAnswer(options: Json): Promise<Json> {
  return withKey(async () => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(
      options as unknown as PublicKeyCredentialRequestOptionsJSON,
    );
    return navigator.credentials.get({ publicKey });
  });
}

async function withKey(ask: () => Promise<Credential | null>): Promise<Json> {
  if (!window.isSecureContext || typeof PublicKeyCredential?.parseRequestOptionsFromJSON !== "function") {
    throw problem("This browser cannot use security keys here: it is too old, or the page did not come by TLS.");
  }
  try {
    const made = await ask();
    if (made instanceof PublicKeyCredential) return made.toJSON() as Json;
  } catch (error) {
    if (error instanceof DOMException && error.name === "InvalidStateError") {
      throw problem("This key is added already. Nothing was changed.");
    }
    if (!(error instanceof DOMException)) throw error;
  }
  throw problem("No key answered: it was cancelled, took too long, or is none of yours. Nothing was changed.");
}

const problem = (detail: string) => new Problem({ code: "no_answer", title: "No key answered", detail }, 0);
