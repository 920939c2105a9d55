// SHA-256 (FIPS 180-4) piece by piece, for files that should not be in memory as a whole; Web Crypto only takes whole ones.

const BLOCK_BYTES = 64;

/** The first 32 bits of the fractional parts of the roots of primes, which FIPS 180-4 takes its constants from. */
function fractions(root: (prime: number) => number, count: number): Uint32Array {
  const found: number[] = [];
  for (let candidate = 2; found.length < count; candidate++) {
    let prime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) prime = false;
    if (prime) found.push((root(candidate) % 1) * 2 ** 32);
  }
  return Uint32Array.from(found);
}

const ROUNDS = fractions(Math.cbrt, 64);

export class Sha256 {
  private readonly state = fractions(Math.sqrt, 8);
  private readonly words = new Uint32Array(64);
  /** The beginning of a block that is not complete. */
  private readonly rest = new Uint8Array(BLOCK_BYTES);
  private length = 0;

  update(bytes: Uint8Array): this {
    let at = 0;
    const before = this.length % BLOCK_BYTES;
    this.length += bytes.length;
    if (before > 0) {
      at = Math.min(BLOCK_BYTES - before, bytes.length);
      this.rest.set(bytes.subarray(0, at), before);
      if (before + at < BLOCK_BYTES) return this;
      this.block(new DataView(this.rest.buffer), 0);
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (; at + BLOCK_BYTES <= bytes.length; at += BLOCK_BYTES) this.block(view, at);
    this.rest.set(bytes.subarray(at));
    return this;
  }

  /** The hash of everything; the last call. */
  digest(): Uint8Array {
    const bits = this.length * 8;
    const filled = (this.length + 8) % BLOCK_BYTES;
    const end = new Uint8Array(BLOCK_BYTES - filled + 8);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    this.update(end);
    const digest = new DataView(new ArrayBuffer(32));
    this.state.forEach((word, index) => digest.setUint32(4 * index, word));
    return new Uint8Array(digest.buffer);
  }

  private block(view: DataView, at: number): void {
    const w = this.words;
    for (let t = 0; t < 16; t++) w[t] = view.getUint32(at + 4 * t);
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15]!;
      const y = w[t - 2]!;
      const small = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const large = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[t] = w[t - 16]! + small + w[t - 7]! + large;
    }
    let [a, b, c, d, e, f, g, h] = this.state as unknown as [number, number, number, number, number, number, number, number];
    for (let t = 0; t < 64; t++) {
      const sum1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (h + sum1 + ((e & f) ^ (~e & g)) + ROUNDS[t]! + w[t]!) | 0;
      const sum0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    const s = this.state;
    s[0]! += a;
    s[1]! += b;
    s[2]! += c;
    s[3]! += d;
    s[4]! += e;
    s[5]! += f;
    s[6]! += g;
    s[7]! += h;
  }
}
