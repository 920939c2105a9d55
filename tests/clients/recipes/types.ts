/** Whether two types are the same; `any` is the same as itself only. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile where a type is not as expected. */
export const same = <A, B>(_answer: Same<A, B>) => {};
