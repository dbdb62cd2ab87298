// No tile is cut short and no team is idle: nothing has to be asked whether it exists. A condition around a load or a
// store costs a software adapter as much as the load.
override FULL: bool = false;
