import { mayComeLater } from '../diagnose/explain.js'
import { shakeHands } from '../diagnose/handshake.js'
import type { Probe } from '../diagnose/probe.js'
import { sleep } from '../util/async.js'

const PAUSE_MS = 500

/** Waits until something answers that is no gateway in trouble, or the time is over. */
export async function waitForTarget(
  { client, access, clock }: Pick<Probe, 'client' | 'access' | 'clock'>,
  waitMs: number,
): Promise<void> {
  const end = clock.now() + waitMs
  for (;;) {
    const { discover, session } = await shakeHands({ client, headers: access.plain })
    await session?.close()
    const isThere = discover !== undefined && !mayComeLater(discover)
    if (isThere || clock.now() + PAUSE_MS > end) return
    await sleep(clock, PAUSE_MS)
  }
}
