import { join } from 'node:path'
import { isObject, ownMember, tryParseJson } from '../util/json.js'
import { readPrivateFile, writePrivateFile } from '../util/private-files.js'

const TAB_PAUSE_MS = 10 * 60_000
const DAY_MS = 24 * 60 * 60_000
const TABS_A_DAY = 3
/** So many tabs in as many minutes, even when each of them led to a token that the target took. */
const USED_TABS = 3
const STEP_UP_PAUSE_MS = 10 * 60_000

/**
 * Keeps a program that is restarted again and again from opening tab after tab. It counts on disk,
 * for all processes, by what is signed in to; whoever asks holds the sign-in lock.
 */
export interface Budget {
  /**
   * Takes one tab, if there is one left: one in 10 minutes and three a day that led to no token that
   * the target took, and three in 10 minutes that did.
   */
  takeTab(): Promise<boolean>
  /** The target took a token: the tab that led to it was used. */
  prove(): Promise<void>
  /** Somebody signed in by hand: all tabs are there again. */
  reset(): Promise<void>
  /** Takes the one step-up in 10 minutes to a set of scopes. */
  takeStepUp(scopes: readonly string[]): Promise<boolean>
}

interface Spent {
  /** When tabs were opened, milliseconds since the epoch. */
  tabs: number[]
  /** When tabs were opened that led to a token that the target took. */
  used: number[]
  /** When a step-up to these scopes was started. */
  stepUps: Record<string, number>
}

/** @param folder The user's data folder. @param now Milliseconds since the epoch. */
export function createBudget(folder: string, key: string, now: () => number): Budget {
  const path = join(folder, 'sign-in', `${key}.budget.json`)
  const load = async (): Promise<Spent> => parseSpent(await readPrivateFile(path), now())
  const save = (spent: Spent) => writePrivateFile(path, JSON.stringify(spent))
  return {
    async takeTab() {
      const spent = await load()
      const newest = Math.max(0, ...spent.tabs)
      if (spent.tabs.length >= TABS_A_DAY || now() - newest < TAB_PAUSE_MS) return false
      if (spent.used.length >= USED_TABS) return false
      await save({ ...spent, tabs: [...spent.tabs, now()] })
      return true
    },
    async prove() {
      const spent = await load()
      if (spent.tabs.length > 0) {
        await save({ ...spent, tabs: [], used: [...spent.used, ...spent.tabs] })
      }
    },
    async reset() {
      await save({ ...(await load()), tabs: [], used: [] })
    },
    async takeStepUp(scopes) {
      const spent = await load()
      const name = [...scopes].sort().join(' ')
      if (now() - (ownMember(spent.stepUps, name) ?? 0) < STEP_UP_PAUSE_MS) return false
      await save({ ...spent, stepUps: { ...spent.stepUps, [name]: now() } })
      return true
    },
  }
}

/** Forgets what is too old to count, or lies in the future because the clock was set back. */
function parseSpent(text: string | undefined, now: number): Spent {
  const file = text === undefined ? undefined : tryParseJson(text)
  const { tabs, used, stepUps } = isObject(file) ? file : {}
  const counts = (at: unknown, for_: number): at is number =>
    typeof at === 'number' && at <= now && now - at < for_
  const kept = Object.entries(isObject(stepUps) ? stepUps : {}).filter(
    (entry): entry is [string, number] => counts(entry[1], STEP_UP_PAUSE_MS),
  )
  const times = (list: unknown, for_: number) =>
    Array.isArray(list) ? list.filter((at) => counts(at, for_)) : []
  return {
    tabs: times(tabs, DAY_MS),
    used: times(used, TAB_PAUSE_MS),
    stepUps: Object.fromEntries(kept),
  }
}
