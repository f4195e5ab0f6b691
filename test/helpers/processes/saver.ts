import { createDesk } from '../sign-in.js'

/** Replaces the stored tokens again and again, until it is killed. */
const input = JSON.parse(process.argv[2] ?? '{}')
const { store, binding } = createDesk({
  folder: input.folder,
  target: { grant: { kind: 'server', url: new URL(input.url) } },
})
const record = await store.load(binding)
if (record === undefined) throw new Error('nothing is stored')
process.stdout.write('"saving"\n')
for (let round = 0; ; round++) {
  await store.save({ ...record, accessToken: `access-${round}`, refreshToken: `refresh-${round}` })
}
